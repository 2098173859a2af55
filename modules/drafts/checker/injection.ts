import { fold, phrases } from "./words/phrases.ts";

/** Sentences that speak to a machine. In a source they back nothing; in a draft they are no words for a recipient. */

const TO_MACHINES = phrases(
  `ignore all, ignore any, ignore previous, ignore prior, ignore the, ignore your, ignore every, ignore earlier, disregard, system prompt, system message, previous instructions, prior instructions, your instructions, these instructions, new instructions, as an ai, language model, ai assistant, ai assistants, ai agent, ai agents, ai system, ai systems, you are now, llm, chatbot, mark this, mark the, mark every, mark all, set verdict, verdict, tell the reader, tell the recipient, tell them that, write that, say that our, state that, include the sentence, add the sentence, insert, do not check, skip the check, bypass, override, reveal, jailbreak, prompt, instruction to, instructions to, note to, attention ai, dear ai, assistant, approve this, the checker, fact check, fact checker, grounding,
  ignoriere, ignorieren sie, missachte, systemprompt, vorherigen anweisungen, bisherigen anweisungen, alle anweisungen, anweisung an, anweisungen an, ki assistent*, sprachmodell*, an die ki, schreibe dass, schreib dass, hinweis an, prüfung überspring*, ki agent*, ki system*,
  ignorez, ignore toutes, instructions précédentes, consignes, vos instructions, modèle de langage, assistant ia, agent ia, écris que, écrivez que, note à l ia, à l attention de l ia, dis au, dites au,
  ignora, ignore las, instrucciones, modelo de lenguaje, asistente de ia, agente de ia, escribe que, di que, diga que, nota para la ia,
  istruzioni precedenti, le istruzioni, modello linguistico, assistente ia, agente ia, scrivi che, di che, nota per l ia, assistente ai,
  negeer, vorige instructies, eerdere instructies, instructies, taalmodel, ai assistent, schrijf dat, zeg dat, opmerking voor de ai,
  zignoruj*, ignoruj, poprzednie instrukcje, poprzednie polecenia, instrukcje dla, polecenia dla, model językowy, modelu językowego, asystent ai, asystenta ai, napisz że, powiedz że`,
);

/** What somebody is quoted with is no order of the text itself. */
const unquoted = (text: string) => text.replace(/["“„«][^"“”„«»]{0,300}["”“»]/g, " ");

const words = (text: string) => fold(unquoted(text)).split(/[^\p{L}\p{N}]+/u).filter(Boolean); // prettier-ignore

export const isInstruction = (sentence: string): boolean =>
  TO_MACHINES.find(words(sentence)) >= 0 ||
  /<\/?(system|instruction|script|assistant)|\{\{|<!--|\[\/?INST/i.test(sentence);

const OF_DRAFT = phrases(
  `ignore all, ignore previous, ignore prior, ignore any, disregard, system prompt, previous instructions, prior instructions, as an ai, language model, mark this, verdict, as instructed, per the instructions, per your instructions, approve this, the checker, fact checker, ignoriere, systemprompt, vorherigen anweisungen, sprachmodell*, wie angewiesen, ignorez, instructions précédentes, modèle de langage, ignora, instrucciones anteriores, modelo de lenguaje, istruzioni precedenti, modello linguistico, negeer, vorige instructies, taalmodel, zignoruj*, poprzednie instrukcje, poprzednie polecenia, model językowy`,
);

export const speaksToMachines = (sentence: string): boolean =>
  OF_DRAFT.find(words(sentence)) >= 0 || /<\/?(system|instruction|script|assistant)|\[\/?INST/i.test(sentence);
