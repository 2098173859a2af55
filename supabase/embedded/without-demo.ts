/** The settings of an installation that offers no demo workspace; the sandbox itself stays, for rehearsals. */
export const withoutDemo = (env: { OVERTURE_MODULES_OFF?: string | undefined }): { OVERTURE_MODULES_OFF: string } => ({
  OVERTURE_MODULES_OFF: [env.OVERTURE_MODULES_OFF, "demo"].filter(Boolean).join(","),
});
