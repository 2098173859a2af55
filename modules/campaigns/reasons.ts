/**
 * Why something happened to a person in a campaign, or did not: codes as the database holds them, and the sentence people read.
 * One vocabulary for planning, guards, enrolling, moving and replies.
 */
export const REASONS: Readonly<Record<string, string>> = {
  no_address: "The contact has no address for this channel.",
  address_invalid: "The contact's address cannot receive messages.",
  address_shared: "The campaign writes to this address for another contact who has it too.",
  suppressed: "The address is on the suppression list.",
  opted_out: "The contact opted out on this channel.",
  no_consent: "No consent is recorded for this channel.",
  in_other_campaign: "The contact is active in another running campaign.",
  already_in: "The contact is already in this campaign.",
  missing_value: "A variable has no value for this contact and no fallback.",
  template_fault: "The step's text has an error.",
  sender_limit: "The sender's limit is reached.",
  no_sender: "The campaign has no active sender for this channel.",
  sender_inactive: "The sender is paused, or its connection is not active.",
  outside_window: "The sending window is closed.",
  campaign_draft: "The campaign has not started.",
  campaign_paused: "The campaign is paused.",
  campaign_stopped: "The campaign was stopped.",
  sequence_ended: "The enrollment ended before the message was sent.",
  contact_removed: "The contact was deleted.",
  approval_pending: "The message is waiting for approval.",
  approval_rejected: "The message was rejected.",
  approval_expired: "Nobody approved the message in time.",
  replied: "The contact replied.",
  colleague_replied: "A colleague of the contact replied.",
  bounced: "The message bounced.",
  refused: "The provider refused the message.",
  unsubscribed: "The contact unsubscribed.",
  complained: "The contact reported the message as spam.",
  stopped_by_person: "A member stopped the enrollment.",
  step_removed: "The step was removed from the sequence.",
  condition: "A condition was evaluated.",
  audience_fault: "The audience cannot be read: its segment or a custom field of its filter was deleted.",
  step_fault: "The step failed; the worker's log has the error.",
  condition_fault: "The condition cannot be evaluated.",
  had_already: "The contact already received this step.",
  restarted: "The contact started the sequence again.",
  moved: "The contact was moved to another version of the sequence.",
  unknown_outcome: "The provider did not confirm whether the message was sent.",
};

/** The sentence for a code; a code of another module's guard is shown as it is. */
export const reasonText = (code: string | null): string | null =>
  code === null ? null : (REASONS[code] ?? code.replaceAll("_", " "));
