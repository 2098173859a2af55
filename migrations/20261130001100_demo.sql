-- demo: the queue that prepares demo teams.
-- owner: modules/demo   breaking: no   locks: none (new objects only)

select kernel.create_queue('demo_prepare');
