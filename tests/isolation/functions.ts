/**
 * Who may execute which function of the product. `definers` run with their owner's rights and so are holes in the wall:
 * each is here with the reason it must be one. A function that is missing, or granted to anybody else, fails the test.
 */

const nobody = "";
const worker = "overture_worker";
const both = "overture_user overture_worker";
const people = "authenticated overture_user overture_worker";

/** Where the tenant comes from: the kernel sets app.tenant_id after it looked up the membership or the key. */
const ofThisTenant = "names kernel.tenant() itself, which the kernel sets after the membership was looked up";

export const definers: Record<string, [roles: string, why: string]> = {
  "kernel.now()": [people, "reads the shift of the clock, a table nobody else may see"],
  "kernel.my_tenants(text)": [
    people,
    "policies of members call it: as invoker it would call itself; names the caller's own sub",
  ],
  "kernel.analyst_tenant()": [
    "overture_analyst",
    "maps the login's own role name to its tenant; a setting could be forged",
  ],
  "kernel.broadcast()": [both, "trigger: only the database writes to realtime.messages; sends ids, never rows"],
  "kernel.keep_an_owner()": [nobody, "trigger: must see all members of the team whatever the caller sees"],
  "kernel.idempotency_begin(text,text)": [
    both,
    "scope is the tenant's id, given by the kernel; the table itself stays closed",
  ],
  "kernel.idempotency_keep(text,text,text,text,integer,jsonb)": [both, "writes what idempotency_begin reads"],
  "kernel.idempotency_claim(text,text,text,text,integer)": [both, "idempotency_begin, and a lease on a free key"],
  "kernel.idempotency_settle(text,text,integer,integer,jsonb)": [both, "ends what idempotency_claim began"],
  "kernel.audit_settle(uuid,text,text,jsonb)": [
    both,
    `adds the outcome to a started audit row, once, which nobody may update; ${ofThisTenant}`,
  ],
  "kernel.take_tokens(text,double precision,double precision,double precision)": [
    both,
    "buckets are shared by all tenants; a caller names one and learns only its level",
  ],
  "kernel.block_bucket(text,double precision)": [both, "empties one bucket, as take_tokens would"],
  "kernel.enqueue(text,jsonb[],integer)": [
    both,
    "the only way to a queue; refuses messages for another tenant than the current one",
  ],
  "kernel.decide(jsonb)": [both, `decisions are written by nobody themselves; ${ofThisTenant}`],
  "kernel.prune_decisions(interval,integer)": [nobody, "schedule: forgets old decisions of all tenants"],
  "kernel.emit(text,jsonb,uuid)": [
    both,
    "reads who subscribed; enqueues by kernel.enqueue, which refuses another tenant than the current one",
  ],
  "kernel.dequeue(text,integer,integer)": [
    worker,
    "reads messages of all tenants to spread them; consumers then work tenant by tenant",
  ],
  "kernel.settle(text,jsonb)": [worker, "belongs to dequeue: the messages of one batch may be of several tenants"],
  "kernel.extend_visibility(text,bigint[],integer[],timestamp with time zone[],integer)": [
    worker,
    "belongs to dequeue: the messages of one batch may be of several tenants",
  ],
  "kernel.queue_metrics()": [both, "depth of the installation's queues, no contents"],
  "kernel.slow_clock()": [both, "one row of the installation's: what time it is"],
  "kernel.fast_clock()": [both, "one row of the installation's: what time it is"],
  "kernel.schedule_health()": [both, "runs of the installation's schedules, no contents"],
  "kernel.add_samples(jsonb)": [worker, "adds the process's own counts to a table without tenants"],
  "kernel.read_samples(text,timestamp with time zone,interval)": [
    both,
    "service levels of the installation: counts by route group, no contents",
  ],
  "kernel.connection_use()": [both, "two numbers about the server's connections"],
  "kernel.schedule_lags()": [both, "age of the last runs of the installation's schedules, no contents"],
  "kernel.backup_age()": [both, "age and plan of the installation's backups, no contents"],
  "kernel.queue_lags()": [both, "age of what waits on the installation's queues, no contents"],
  "kernel.list_dead_letters(text,uuid,integer)": [both, ofThisTenant],
  "kernel.requeue_dead_letters(uuid[])": [both, ofThisTenant],
  "kernel.purge_dead_letters(uuid[])": [both, ofThisTenant],
  "private.dead_letter_counts()": [both, ofThisTenant],
  "kernel.breaking_version()": [worker, "reads the history of the migrations, which is nobody's data"],
  "kernel.enter_as_user(uuid,uuid,double precision,double precision)": [
    worker,
    "finds the tenant of a caller who has none yet; the token was checked before",
  ],
  "kernel.enter_as_key(text,double precision,double precision,double precision,double precision)": [
    worker,
    "finds the tenant of an API key by its hash",
  ],
  "private.create_tenant(text,uuid,text,text,text)": [worker, "makes the tenant it would need to be inside of"],
  "private.free_slug(text)": [nobody, "must see the slugs of all tenants; called by create_tenant"],
  "private.check_claim(text,boolean)": [worker, "the single-use claim belongs to the installation, not to a tenant"],
  "private.is_claimed()": [worker, "one bit about the installation: whether anybody is a member"],
  "private.find_invitation(text)": [worker, "the invited person is no member yet; found by the hash of the token only"],
  "private.accept_invitation(text,uuid,text,text,text)": [
    worker,
    "makes the membership; the token's hash and the verified e-mail must both fit",
  ],
  "private.my_teams(uuid)": [worker, "the teams of a person before one is chosen; the token was checked before"],
  "private.connection_for_webhook(uuid)": [
    worker,
    "a webhook names its connection only; the signature is checked with what this returns",
  ],
  "private.probe_contacts(jsonb,integer)": [
    both,
    `its operators are not leakproof, so policies keep them from the indexes; ${ofThisTenant}`,
  ],
  "private.find_contacts(jsonb,text,boolean,text,uuid,integer)": [both, `as probe_contacts; ${ofThisTenant}`],
  "private.count_contacts(jsonb,integer)": [both, `as probe_contacts; ${ofThisTenant}`],
  "private.find_companies(text,text,text,uuid,integer)": [both, `as probe_contacts; ${ofThisTenant}`],
  "private.estimate_contacts()": [both, `reads the planner's statistics; ${ofThisTenant}`],
  "private.settle_messages(jsonb)": [
    both,
    `people who decide an unknown outcome may not write attempts, usage or health themselves; ${ofThisTenant}`,
  ],
  "private.note_health(jsonb)": [
    both,
    `who settles an outcome or tests a connection may not change connections otherwise; ${ofThisTenant}`,
  ],
  "private.finish_step(jsonb)": [
    both,
    `who finishes a task may not write step runs themselves; moves on only what has a finished task; ${ofThisTenant}`,
  ],
  "private.keep_addresses()": [nobody, "trigger: whoever may change a contact need not write its addresses"],
  "private.count_messages()": [nobody, "trigger: whoever may change messages need not write totals"],
  "private.fold_analytics()": [nobody, "schedule: folds the totals of all tenants"],
  "private.operator_tenant()": [nobody, "must see all teams to know the first; called by the findings"],
  "private.alert_limit(text,double precision)": [nobody, "reads the installation's settings for the findings"],
  "private.team_findings()": [nobody, "schedule: looks at the running campaigns and dead letters of all tenants"],
  "private.installation_findings()": [nobody, "schedule: looks at queues, schedules and samples of the installation"],
  "private.evaluate_alerts()": [nobody, "schedule: opens and closes the alerts of all tenants"],
  "private.prune_operations()": [nobody, "schedule: removes old samples and resolved alerts of all tenants"],
  "private.alert_counts()": [worker, "how many alerts are open in the installation, for the metrics; no contents"],
  "private.wake_rotation()": [nobody, "schedule: enqueues one message per tenant"],
  "private.prune_webhooks(interval,integer)": [nobody, "schedule: removes old deliveries of all tenants"],
  "kernel.wake(text,uuid[])": [nobody, "called by the schedules of modules, for tenants with due work"],
  "private.wake_planning()": [nobody, "schedule: wakes tenants with somebody to plan"],
  "private.wake_sending()": [nobody, "schedule: wakes tenants with messages due"],
  "private.wake_reconciling()": [nobody, "schedule: wakes tenants with unknown outcomes"],
  "private.take_delivery(uuid,text,bytea,jsonb)": [
    worker,
    "the caller acts for no tenant yet; stores for the connection's own tenant only",
  ],
  "kernel.drop_wakes(text)": [worker, `queues are closed to everybody; deletes wake messages only; ${ofThisTenant}`],
  "private.expire_leases()": [nobody, "schedule: marks messages whose worker died, of all tenants"],
  "private.finish_campaigns()": [nobody, "schedule: ends campaigns that are through, of all tenants"],
};

export const invokers: Record<string, string> = {
  "kernel.uuid7()": people,
  "kernel.role_rank(text)": people,
  "kernel.tenant()": people,
  "kernel.set_tenant_context(uuid)": worker,
  "kernel.touch()": both,
  "kernel.guard_owners()": both,
  "kernel.protect(regclass,text,text,boolean)": nobody,
  "kernel.create_queue(text)": nobody,
  "kernel.clock_step()": nobody,
  "kernel.tick()": nobody,
  "kernel.index_queue(text)": nobody,
  "kernel.run_schedule(text)": nobody,
  "kernel.register_schedules(jsonb)": nobody,
  "kernel.register_subscriptions(jsonb)": nobody,
  "kernel.wake_functions()": nobody,
  "kernel.prune()": nobody,
  "kernel.add_analyst(name,uuid)": nobody,
  "private.probe_condition(jsonb)": nobody,
  "private.probe_conditions(jsonb)": nobody,
  "private.probed_tenant()": nobody,
  "private.set_claim(text)": nobody,
  "private.events_keep_months()": nobody,
  "private.lock_events()": nobody,
  "private.ensure_partitions()": nobody,
  "private.drop_partitions(integer)": nobody,
  "private.claim_messages(integer,integer,uuid)": worker,
  "private.decide_outcomes(jsonb)": nobody,
  "private.record_outcomes(private.settling[])": nobody,
  "private.match_events(uuid,jsonb)": worker,
  "private.add_events(private.incoming[])": worker,
  "private.mark_messages(private.incoming[])": worker,
  "private.ask_again(uuid[],double precision)": worker,
  "private.apply_events(uuid,jsonb)": worker,
  "private.daily_totals(date)": both,
  "private.daily_totals_of(uuid,date)": both,
  "private.tally(text[],uuid[])": both,
  "private.recount(uuid)": nobody,
  "kernel.all_guards()": nobody,
  "kernel.compose_guards(text[])": nobody,
  "private.advance_enrollments(jsonb)": both,
  "private.answered_message(text,text[],text)": worker,
  "private.apply_guards(integer)": worker,
  "private.cancel_messages(uuid[],text,text[],text)": both,
  "private.emit_cancelled(jsonb)": both,
  "private.end_campaign(uuid)": both,
  "private.end_enrollments(uuid[],text,text,text)": both,
  "private.mark_addresses(text,text[],text,text)": both,
  "private.mark_suppressed(text,text[])": both,
  "private.move_enrollments(uuid,uuid,integer)": both,
  "private.note_messages(jsonb)": both,
  "private.opt_in(text,uuid[],text[],text)": both,
  "private.opt_out(text,uuid[],text[],text,text)": both,
  "private.receive_message(uuid,text,jsonb)": worker,
  "private.release_messages(uuid,uuid[],integer)": both,
  "private.reply_policy()": both,
  "private.retry_blocked(uuid)": both,
  "private.return_places(private.settling[])": worker,
  "private.sender_rooms(text[])": both,
  "private.set_consent(text,uuid[],text,text)": both,
  "private.set_contact_status(uuid[],text)": both,
  "private.suppress(text,text[],text,text)": both,
  "private.suppress_reported(private.incoming[])": worker,
  "private.tell_messages(text,uuid[])": both,
  ...Object.fromEntries(
    ["approval", "campaign", "consent", "reply", "suppression"].map((rule) => [
      `private.guard_${rule}(messages)`,
      both,
    ]),
  ),
  "private.guards(messages)": both,
  "private.in_window(jsonb,timestamp with time zone)": both,
  "private.next_opening(jsonb,timestamp with time zone)": both,
};

/**
 * Without a search_path of their own, which would keep the planner from writing them into the statement that calls them: asked for every
 * message or campaign, they are planned once with it. Nobody the product runs as may create an object that they could find instead.
 */
export const inlined = [
  "private.guard_approval(messages)",
  "private.guard_campaign(messages)",
  "private.guard_consent(messages)",
  "private.guard_reply(messages)",
  "private.guard_suppression(messages)",
  "private.guards(messages)",
  "private.in_window(jsonb,timestamp with time zone)",
];
