-- Extensions a Supabase project starts with or that this product's migrations ask for.

create extension if not exists pgcrypto with schema extensions;
create extension if not exists "uuid-ossp" with schema extensions;

-- Supabase re-owns pgmq to postgres after creation; creating it as postgres has the same result.
set role postgres;
create extension if not exists pgmq;
reset role;
