-- UUIDv7 (RFC 9562): 48 bits of unix milliseconds, then random. The real clock, so that ids keep their order in rehearsals.
-- `return` instead of a quoted body: it is parsed when it is created, so it needs no search_path of its own and can be inlined.
-- Ids are made for every row of every table, and the call of a function that is not inlined costs more than the id.
create or replace function kernel.uuid7() returns uuid
language sql volatile parallel safe
return pg_catalog.encode(
  pg_catalog.set_bit(pg_catalog.set_bit(
    overlay(pg_catalog.uuid_send(pg_catalog.gen_random_uuid())
      placing pg_catalog.substring(pg_catalog.int8send((extract(epoch from pg_catalog.clock_timestamp()) * 1000)::bigint), 3)
        from 1 for 6),
    52, 1), 53, 1), 'hex')::uuid;
grant execute on function kernel.uuid7() to authenticated, overture_user, overture_worker;
