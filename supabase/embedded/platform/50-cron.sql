-- pg_cron's tables and functions for servers that cannot load it; the jobs are run by the embedded scheduler.
-- The extension row exists so that "create extension if not exists pg_cron" in a migration finds it.

create extension if not exists pg_cron;
create schema if not exists cron;
create sequence if not exists cron.jobid_seq;
create sequence if not exists cron.runid_seq;

create table if not exists cron.job (
  jobid bigint primary key default nextval('cron.jobid_seq'),
  schedule text not null,
  command text not null,
  nodename text not null default 'localhost',
  nodeport integer not null default inet_server_port(),
  database text not null default current_database(),
  username text not null default current_user,
  active boolean not null default true,
  jobname text,
  constraint jobname_username_uniq unique (jobname, username)
);

create table if not exists cron.job_run_details (
  jobid bigint,
  runid bigint primary key default nextval('cron.runid_seq'),
  job_pid integer,
  database text,
  username text,
  command text,
  status text,
  return_message text,
  start_time timestamptz,
  end_time timestamptz
);
create index if not exists job_run_details_jobid_idx on cron.job_run_details (jobid, runid desc);

alter table cron.job enable row level security;
alter table cron.job_run_details enable row level security;
drop policy if exists cron_job_policy on cron.job;
create policy cron_job_policy on cron.job using (username = current_user);
drop policy if exists cron_job_run_details_policy on cron.job_run_details;
create policy cron_job_run_details_policy on cron.job_run_details using (username = current_user);

-- Whether pg_cron would accept the schedule: "N seconds" (1-59), @hourly and its kin, or five fields.
create or replace function cron._is_valid(schedule text) returns boolean language plpgsql immutable as $$
declare
  fields text[] := regexp_split_to_array(btrim(lower(schedule)), '\s+');
  lowest int[] := array[0, 0, 1, 1, 0];
  highest int[] := array[59, 23, 31, 12, 7];
  names text[] := array['', '', '', 'jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec', 'sun|mon|tue|wed|thu|fri|sat'];
  part text;
  piece text[];
  bounds text[];
  bound text;
begin
  if schedule is null then return false; end if;
  if fields[1] in ('@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly') then
    return array_length(fields, 1) = 1;
  end if;
  if array_length(fields, 1) = 2 and fields[2] in ('second', 'seconds') then
    return fields[1] ~ '^\d{1,2}$' and fields[1]::int between 1 and 59;
  end if;
  if array_length(fields, 1) <> 5 then return false; end if;
  for i in 1..5 loop
    if i = 3 and fields[i] = '$' then continue; end if;
    foreach part in array string_to_array(fields[i], ',') loop
      piece := string_to_array(part, '/');
      if array_length(piece, 1) > 2 or (array_length(piece, 1) = 2 and piece[2] !~ '^0*[1-9]\d{0,2}$') then
        return false;
      end if;
      if piece[1] = '*' then continue; end if;
      bounds := string_to_array(piece[1], '-');
      if coalesce(array_length(bounds, 1), 0) not in (1, 2) then return false; end if;
      foreach bound in array bounds loop
        if bound ~ '^\d{1,3}$' then
          if bound::int not between lowest[i] and highest[i] then return false; end if;
        elsif names[i] = '' or bound !~ ('^(' || names[i] || ')$') then
          return false;
        end if;
      end loop;
    end loop;
  end loop;
  return true;
end
$$;

-- A job runs as its username, so nobody may enter a name whose rights they do not have.
create or replace function cron._check_job() returns trigger language plpgsql as $$
begin
  if not cron._is_valid(new.schedule) then
    raise exception 'invalid schedule: %', new.schedule
      using hint = 'Use cron format (e.g. 5 4 * * *), or interval format ''[1-59] seconds''', errcode = '22023';
  end if;
  if not pg_has_role(current_user, new.username, 'member') then
    raise exception 'must be superuser to create a job for another role' using errcode = '42501';
  end if;
  return new;
end
$$;
create or replace trigger check_job before insert or update on cron.job
  for each row execute function cron._check_job();

create or replace function cron._announce() returns trigger language plpgsql as $$
begin
  perform pg_notify('cron_job_changed', '');
  return null;
end
$$;
create or replace trigger announce after insert or update or delete on cron.job
  for each statement execute function cron._announce();

create or replace function cron.schedule(job_name text, schedule text, command text)
returns bigint language plpgsql as $$
#variable_conflict use_column
declare
  id bigint;
begin
  if job_name is null then raise exception 'job_name can not be NULL'; end if;
  insert into cron.job as j (jobname, schedule, command)
  values (job_name, schedule.schedule, schedule.command)
  on conflict on constraint jobname_username_uniq
    do update set schedule = excluded.schedule, command = excluded.command, active = true
  returning j.jobid into id;
  return id;
end
$$;

create or replace function cron.schedule(schedule text, command text) returns bigint language sql as $$
  insert into cron.job (schedule, command) values ($1, $2) returning jobid
$$;

create or replace function cron.schedule_in_database(
  job_name text, schedule text, command text, database text, username text default null, active boolean default true
) returns bigint language plpgsql as $$
declare
  id bigint;
begin
  if $4 <> current_database() then
    raise exception 'only database % is served by the embedded scheduler', current_database();
  end if;
  insert into cron.job as j (jobname, schedule, command, username, active)
  values ($1, $2, $3, coalesce($5, current_user), $6)
  on conflict on constraint jobname_username_uniq
    do update set schedule = excluded.schedule, command = excluded.command, active = excluded.active
  returning j.jobid into id;
  return id;
end
$$;

create or replace function cron.unschedule(job_id bigint) returns boolean language plpgsql as $$
begin
  delete from cron.job where jobid = $1 and username = current_user;
  if not found then raise exception 'could not find valid entry for job %', $1; end if;
  return true;
end
$$;

create or replace function cron.unschedule(job_name text) returns boolean language plpgsql as $$
begin
  delete from cron.job where jobname = $1 and username = current_user;
  if not found then raise exception 'could not find valid entry for job ''%''', $1; end if;
  return true;
end
$$;

create or replace function cron.alter_job(
  job_id bigint, schedule text default null, command text default null, database text default null,
  username text default null, active boolean default null
) returns void language plpgsql as $$
begin
  if $4 <> current_database() then
    raise exception 'only database % is served by the embedded scheduler', current_database();
  end if;
  update cron.job j
  set schedule = coalesce($2, j.schedule), command = coalesce($3, j.command),
      username = coalesce($5, j.username), active = coalesce($6, j.active)
  where j.jobid = $1 and j.username = current_user;
  if not found then raise exception 'Job % does not exist or you don''t own it', $1; end if;
end
$$;

grant usage on schema cron to postgres with grant option;
grant all on all tables in schema cron to postgres with grant option;
grant all on all sequences in schema cron to postgres with grant option;
grant execute on all functions in schema cron to postgres with grant option;
