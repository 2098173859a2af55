-- kernel: the two functions that run for every row cost half as much.
-- owner: modules/kernel   breaking: no   locks: none (functions only)

-- A body that is parsed when it is written needs no search_path of its own, and a function without one is inlined: ids are made for every
-- row of every table, and a call cost more than the id.
create or replace function kernel.uuid7() returns uuid
language sql volatile parallel safe
return pg_catalog.encode(
  pg_catalog.set_bit(pg_catalog.set_bit(
    overlay(pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
      placing pg_catalog.substring(pg_catalog.int8send((extract(epoch from pg_catalog.clock_timestamp()) * 1000)::bigint), 3) from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid;

create or replace function kernel.tenant() returns uuid
language sql stable parallel safe
return nullif(pg_catalog.current_setting('app.tenant_id', true), '')::uuid;
