-- Settings of the installation that have a meaning from the first day. Written once: what an operator changed stays.
insert into kernel.settings (key, value) values
  ('events_keep_months', '24') -- how long message events are kept, in whole months
on conflict (key) do nothing;
