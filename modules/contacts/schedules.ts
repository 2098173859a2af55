import { defineSchedule } from "../kernel/queues/schedule.ts";

/**
 * Files are kept a week after their import ended, so that it can be taken up again. Uploads nobody finished go after a
 * day. An import that wrote nothing for an hour has lost its job: it is marked, and starting it again resumes it.
 */
export const pruneImports = defineSchedule({
  name: "contacts.prune_imports",
  cron: "*/10 * * * *",
  everySeconds: 600,
  sql: `
    delete from public.imports m where m.status = 'uploading' and m.updated_at < kernel.now() - interval '1 day';
    delete from public.import_chunks k using public.imports m
    where m.tenant_id = k.tenant_id and m.id = k.import_id
      and coalesce(m.finished_at, m.updated_at) < kernel.now() - interval '7 days' and m.status <> 'running';
    update public.imports m set status = 'failed', finished_at = kernel.now(),
      error = 'The import stopped unexpectedly. Start it again: it goes on where it stopped.'
    where m.status = 'running' and m.updated_at < kernel.now() - interval '1 hour';
  `,
});
