import { clean } from "../../kernel/text.ts";
import { AppError, type FieldError, MAX_ERRORS } from "../../kernel/errors.ts";
import type { CustomDef } from "../custom-values.ts";
import { CONTACT_FIELD_NAMES, type ContactGiven } from "../fields.ts";
import { customKey } from "../filter.ts";
import { withoutGuards } from "../csv.ts";
import type { ImportOptions } from "../schemas.ts";
import { type AwkwardTags, readTagCell } from "../tag-cell.ts";

/** Which column of a file is which field of a person. */

export type Mapping = Record<string, string | null>;

/** What a column can become: a field of the contact, its full name, its tags, or `custom.<key>`. */
export const TARGETS: readonly string[] = [...CONTACT_FIELD_NAMES, "full_name", "tags"];

/** Header words in the languages people keep address books in. Compared without case, accents and punctuation. */
const SYNONYMS: Record<string, string> = {
  email:
    "email emailaddress mail mailaddress workemail businessemail emailadresse mailadresse epost eposta courriel adressemail adresseemail adressemailprofessionnelle correo correoelectronico direcciondecorreo emailaddress1 indirizzoemail postaelettronica enderecodeemail correioeletronico emailadres primaryemail contactemail",
  first_name:
    "firstname givenname fname forename vorname rufname prenom nombre nombredepila primernombre nome primeironome voornaam imie fornamn fornavn etunimi jmeno",
  last_name:
    "lastname surname familyname lname nachname familienname zuname nom nomdefamille apellido apellidos cognome sobrenome ultimonome apelido achternaam nazwisko efternamn etternavn sukunimi prijmeni",
  full_name:
    "fullname name contactname contact person personname vollername ganzername ansprechpartner nomcomplet nombrecompleto nomecompleto nomeecognome volledigenaam displayname leadname",
  title:
    "title jobtitle position role jobrole job funktion berufsbezeichnung stelle stellung titre poste fonction intituledeposte cargo puesto titulo qualifica ruolo funcao functie functietitel headline",
  phone:
    "phone phonenumber telephone telephonenumber tel mobile mobilephone mobilenumber cell cellphone workphone directphone telefon telefonnummer handy handynummer mobil mobilnummer rufnummer numerodetelephone portable telefono movil numerodetelefono cellulare telefone celular telemovel telefoonnummer mobiel",
  whatsapp_number: "whatsapp whatsappnumber whatsappnummer numerowhatsapp",
  linkedin_url:
    "linkedin linkedinurl linkedinprofile linkedinprofileurl personlinkedinurl linkedinprofil profillinkedin perfillinkedin perfildelinkedin profileurl contactlinkedin",
  company_name:
    "company companyname organization organisation organizationname organisationname employer account accountname business firma firmenname unternehmen arbeitgeber entreprise societe nomdelentreprise raisonsociale empresa compania nombredeempresa azienda societa ragionesociale nomedaempresa bedrijf bedrijfsnaam firmanaam foretag",
  company_domain:
    "companydomain domain website companywebsite companyurl web webseite webseiteurl homepage url internetseite domaine siteweb siteinternet dominio sitioweb paginaweb sitoweb siteempresa bedrijfswebsite websiteurl",
  status: "status leadstatus contactstatus",
  pipeline_stage: "pipelinestage stage dealstage leadstage phase etape etapa fase",
  time_zone: "timezone zeitzone fuseauhoraire zonahoraria fusohorario tijdzone",
  locale: "locale language sprache langue idioma lingua taal preferredlanguage",
  country: "country countrycode countryname land pays pais paese landcode laendercode personcountry",
  deal_value: "dealvalue dealamount amount value opportunityvalue auftragswert montant valor importe valore",
  tags: "tags tag labels label keywords schlagworte schlagwort etiketten etiquettes etiquetas etichette stichworte",
  consent_source:
    "consentsource optinsource source leadsource quelle einwilligungsquelle sourceduconsentement origen origem fonte herkunft consent",
  lawful_basis: "lawfulbasis legalbasis rechtsgrundlage basejuridique baselegal basegiuridica rechtsgrond",
};

const BY_WORD = new Map(
  Object.entries(SYNONYMS).flatMap(([field, words]) => words.split(" ").map((word) => [word, field] as const)),
);

/** `E-Mail-Adresse ` → `emailadresse`, `Prénom` → `prenom`. */
export const headerWord = (header: string): string =>
  header
    .normalize("NFD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replaceAll("ß", "ss")
    .replace(/[^\p{L}\p{N}]/gu, "");

/** A first guess for each column, by name, else by what its cells look like. No field is proposed twice. */
export function suggestMapping(
  headers: readonly string[],
  rows: readonly (readonly string[])[],
  custom: ReadonlyMap<string, CustomDef>,
): Mapping {
  const mapping: Mapping = {};
  const used = new Set<string>();
  const take = (header: string, field: string | undefined): boolean => {
    if (field === undefined || used.has(field)) return false;
    used.add(field);
    mapping[header] = field;
    return true;
  };
  const customByWord = new Map(
    [...custom.values()].flatMap(
      (d) =>
        [
          [headerWord(d.key), `custom.${d.key}`],
          [headerWord(d.label), `custom.${d.key}`],
        ] as const,
    ),
  );
  for (const header of headers) {
    mapping[header] = null;
    const word = headerWord(header);
    // As our own export names them.
    const key = customKey(header);
    if (key !== null && custom.has(key) && take(header, header)) continue;
    if (!take(header, customByWord.get(word))) take(header, BY_WORD.get(word));
  }
  const filled = (column: number) => rows.map((r) => clean(r[column] ?? "")).filter((c) => c !== "");
  const mostly = (column: number, test: RegExp) => {
    const cells = filled(column);
    return cells.length > 0 && cells.filter((c) => test.test(c)).length / cells.length > 0.5;
  };
  for (const [i, header] of headers.entries()) {
    if (mapping[header] !== null) continue;
    if (mostly(i, /^[^\s@]+@[^\s@]+\.[a-z]{2,}$/i)) take(header, "email");
    else if (mostly(i, /linkedin\.com\/in\//i)) take(header, "linkedin_url");
  }
  // «Nom» alone beside no first name is the whole name in a file with one name column.
  if (used.has("last_name") && !used.has("first_name") && !used.has("full_name")) {
    const header = headers.find((h) => mapping[h] === "last_name")!;
    if (mostly(headers.indexOf(header), /\S\s+\S/)) mapping[header] = "full_name";
  }
  return mapping;
}

/** Checks a mapping against the file and the team's fields. Returns the custom keys that would have to be made. */
export function checkMapping(
  mapping: Mapping,
  headers: readonly string[],
  custom: ReadonlyMap<string, CustomDef>,
  options: ImportOptions,
): { header: string; key: string }[] {
  const errors: FieldError[] = [];
  const missing: { header: string; key: string }[] = [];
  const users = new Map<string, string>();
  const pointer = (header: string) => `/mapping/${header.replaceAll("~", "~0").replaceAll("/", "~1")}`;
  for (const [header, field] of Object.entries(mapping)) {
    // A body has room for a hundred thousand keys; an answer names the first.
    if (errors.length >= MAX_ERRORS) break;
    if (!headers.includes(header)) {
      errors.push({
        pointer: pointer(header),
        detail: `is not a column of this file; it has ${headers.slice(0, 50).join(", ")}`,
      });
      continue;
    }
    if (field === null) continue;
    const key = customKey(field);
    if (key === null && !TARGETS.includes(field)) {
      errors.push({
        pointer: pointer(header),
        detail: `'${field}' is not a field; use one of ${TARGETS.join(", ")}, custom.<key> or null`,
      });
      continue;
    }
    if (key !== null && !custom.has(key)) {
      if (options.create_custom_fields) missing.push({ header, key });
      else
        errors.push({
          pointer: pointer(header),
          detail: `there is no custom field ${key}; create it first, or set create_custom_fields`,
        });
    }
    const other = users.get(field);
    if (other !== undefined)
      errors.push({ pointer: pointer(header), detail: `${field} is already mapped to the column '${other}'` });
    users.set(field, header);
  }
  if (errors.length === 0 && users.size === 0) errors.push({ pointer: "/mapping", detail: "maps no column" });
  if (errors.length === 0 && options.on_duplicate !== "create_new" && !users.has(options.duplicate_key)) {
    errors.push({
      pointer: "/options/duplicate_key",
      detail: `no column is mapped to ${options.duplicate_key}; map one, choose the other key, or set on_duplicate to create_new`,
    });
  }
  if (errors.length > 0)
    throw new AppError(
      "invalid",
      errors.length === 1 ? errors[0]!.detail : `The mapping has ${errors.length} errors.`,
      { errors },
    );
  return missing;
}

/** Column position → field, for the columns that are used. */
export const columnsOf = (mapping: Mapping, headers: readonly string[]): { index: number; field: string }[] =>
  headers.flatMap((header, index) => {
    const field = mapping[header];
    return field ? [{ index, field }] : [];
  });

/** One record as the fields of a person. Empty cells say nothing, so they never clear what is known. */
export function rowToContact(
  cells: readonly string[],
  columns: readonly { index: number; field: string }[],
  extraTags: readonly string[],
  awkward?: AwkwardTags,
): ContactGiven {
  const given: Record<string, unknown> = {};
  const custom: Record<string, string> = {};
  let tags: string[] = [...extraTags];
  for (const { index, field } of columns) {
    const cell = clean(withoutGuards(cells[index] ?? ""));
    if (cell === "") continue;
    const key = customKey(field);
    if (key !== null) custom[key] = cell;
    else if (field === "tags") tags = tags.concat(readTagCell(cell, awkward));
    else given[field] = cell;
  }
  if (Object.keys(custom).length > 0) given.custom = custom;
  if (tags.length > 0) given.tags = tags;
  return given as ContactGiven;
}
