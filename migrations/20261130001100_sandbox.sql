-- sandbox: the queue that prepares demo teams.
-- owner: modules/sandbox   breaking: no   locks: none (new objects only)

select kernel.create_queue('sandbox_demo');
