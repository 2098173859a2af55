/**
 * The words by which people ask for no more e-mail, by language. Whole sentences where the wish is plain, and what comes close to one.
 * Written as people write; `wish.ts` compares without accents, punctuation and case. No repetition within a repetition.
 */

const OF_THEIRS = "(?:any )?(?:more |further |other |of )?(?:your |these |those |such )?(?:marketing |sales |cold )?";
const MAILS = "e ?mails?|mails?|messages?|letters?|newsletters?|spam|correspondence|communications?";
const EMAILS = `${OF_THEIRS}(?:${MAILS}|offers?|stuff|anything|this)`;
const NOT = "(?:do not|dont|never|stop|quit|cease)(?: ever)?";
const AGAIN = "(?: again| any ?more| any longer| further| in (?:the )?future| ever)?";
const MINE_DE = "(?:mich|uns|meine (?:e ?mail |mail)?(?:adresse|daten|kontaktdaten|e ?mail))";
const LIST_DE =
  "(?:von |aus |vom )?(?:(?:ihrer|ihrem|ihren|eurer|eurem|deiner|deinem|der|dem|dieser|diesem) )?(?:e ?mail ?)?(?:verteiler|verteilerliste|mailverteiler|liste|listen|mailingliste|adressliste|datenbank|newsletter|system)";

/** Whole sentences, by language: a wish that leaves nothing open. Written as people write; compared without accents and in lower case. */
export const CLEAR: Record<string, readonly string[]> = {
  en: [
    `${NOT} (?:(?:contact|contacting|e ?mail|e ?mailing|message|messaging|spam|spamming|approach|approaching|harass|harassing|reach out|reaching out)(?: to)?(?: me| us)?|(?:mail|mailing|write|writing|bother|bothering)(?: to)? (?:me|us))(?: (?:with |by )?${EMAILS})?${AGAIN}`,
    `${NOT} (?:send|sending)(?: (?:me|us)(?: ${EMAILS})?| ${EMAILS}(?: to (?:me|us))?)${AGAIN}`,
    "(?:remove|delete|take|drop|strike|exclude|erase) (?:me|us|my (?:e ?mail|mail|name|address|e ?mail address|details|data|contact|contact details|information)|this (?:e ?mail|address|e ?mail address))(?: off| from| out of| of)?(?: (?:your|the|this|all|any|all your|any of your))?(?: (?:mailing|e ?mail|contact|distribution|marketing|sales|send|outreach))?(?: (?:list|lists|database|databases|crm|system|systems|records|mailings?|e ?mails|campaigns?|sequences?))?",
    "(?:unsubscribe|opt out|optout)(?: (?:me|us|my e ?mail|my address|my e ?mail address|this address))?(?: (?:out|from|of) (?:your|the|this|all|all your) (?:mailing |e ?mail )?(?:list|lists|e ?mails?|newsletter|mailings?|messages))?",
    "(?:opt|sign|count) (?:me|us) out(?: of (?:this|your|these|all) ?(?:list|e ?mails?|mailings?|campaign)?)?",
    "(?:i|we) (?:want|wish|would like|d like|need|demand|ask|request) to (?:unsubscribe|opt out|be (?:unsubscribed|removed|taken off|deleted))(?: from| of)?(?: (?:your|the|this|all|all your))?(?: (?:mailing|e ?mail|contact))?(?: (?:list|lists|database|e ?mails?|mailings?|newsletter))?",
    `(?:i|we) (?:(?:do not|dont|no longer) (?:want|wish|care)|would not like|wouldnt like|would rather not|never want) to (?:be contacted|be e ?mailed|get|receive|hear from you|hear from your company)(?: ${EMAILS})?(?: by you| from you| from your company)?(?: again| any ?more| any longer| in (?:the )?future| ever again)?`,
    `(?:i|we) (?:do not|dont|no longer) (?:want|wish for|consent to|need) ${OF_THEIRS}(?:${MAILS})(?: from you)?(?: any ?more| any longer| again)?`,
    "no (?:more|further) (?:e ?mails?|mails?|messages|contact|communication|spam)(?: from you)?",
    "leave (?:me|us) alone",
    "lose my (?:number|e ?mail|address|e ?mail address)",
    "cease and desist",
  ],
  de: [
    "(?:schreiben|kontaktieren|mailen|belästigen|schicken|senden) sie (?:mich|mir|uns)(?: bitte)?(?: in zukunft| zukünftig| künftig| ab sofort)? (?:nicht|nie|keine|nichts)(?: mehr| wieder| weiter)?(?: (?:weiteren )?(?:e ?mails?|mails?|nachrichten|werbung|angebote|werbemails))?(?: mehr| wieder)?(?: an| zu)?",
    "(?:schreib|kontaktier|schick|send|mail)e?t? (?:mich|mir|uns)(?: bitte)? (?:nicht|nie|keine|nichts)(?: mehr| wieder| weiter)?(?: (?:e ?mails?|mails?|nachrichten|werbung))?(?: mehr| wieder)?(?: an)?",
    `(?:nehmen|streichen|löschen|entfernen|tragen|melden) sie(?: bitte)? ${MINE_DE}(?: bitte)?(?: umgehend| sofort)?(?: ${LIST_DE})?(?: heraus| raus| aus| ab)?`,
    `(?:nimm|streich|lösch|entfern|nehmt|streicht|löscht|entfernt)e? ${MINE_DE}(?: bitte)?(?: ${LIST_DE})?(?: heraus| raus| aus)?`,
    `${MINE_DE}(?: bitte)?(?: umgehend| sofort)? ${LIST_DE} (?:nehmen|streichen|löschen|entfernen|austragen|abmelden|herausnehmen)`,
    "keine (?:weiteren? )?(?:e ?mails?|mails?|nachrichten|werbung|kontaktaufnahmen?|werbemails)(?: mehr)?(?: von ihnen)?(?: schicken| senden)?",
    "(?:unterlassen|stoppen|beenden) sie (?:bitte )?(?:jede |jegliche |alle |weitere |diese )?(?:weiteren? )?(?:kontaktaufnahmen?|kontaktversuche|e ?mails?|mails?|nachrichten|werbung|zusendungen)",
    "(?:ich|wir) (?:möchte|möchten|will|wollen|wünsche|wünschen)(?: von ihnen)?(?: in zukunft| künftig)? (?:nicht mehr|nie wieder|keine|keinen|nichts mehr)(?: weiteren?)?(?: (?:e ?mails?|mails?|nachrichten|werbung|kontakt|kontaktaufnahme)(?: mehr)?(?: von ihnen)?(?: erhalten| bekommen| haben)?|(?: von ihnen)? (?:kontaktiert werden|angeschrieben werden|hören))",
    "(?:ich )?(?:abmelden|abbestellen|austragen|melde mich ab|melden sie mich ab)",
    "lassen sie (?:mich|uns)(?: bitte)? in ruhe",
  ],
  fr: [
    "(?:ne|n )(?: )?(?:me|m|nous) ?(?:contactez|contacte|écrivez|écris|envoyez|envoie|sollicitez|recontactez|relancez)(?: plus)(?: jamais)?(?: (?:de|d|aucun) ?(?:e ?mails?|mails?|messages?|courriels?|publicités?|pub))?",
    "(?:merci de |veuillez |prière de |je vous (?:prie|demande|remercie) de )?ne (?:plus|pas) (?:me|m|nous) ?(?:contacter|écrire|recontacter|solliciter|relancer|envoyer)(?: (?:de|d) ?(?:e ?mails?|mails?|messages?|courriels?|publicités?))?(?: à l ?avenir)?",
    "(?:me |nous )?(?:retirez|supprimez|enlevez|désinscrivez|désabonnez|radiez|retirer|supprimer|enlever|désinscrire|désabonner|radier)(?: (?:moi|nous|mon adresse|mon e ?mail|mon mail|mes données|mes coordonnées))?(?: (?:e ?mail|mail|électronique))?(?: de)?(?: (?:votre|vos|la|cette|toutes vos))?(?: (?:liste|listes|base|base de données|mailing list|fichiers?))?(?: (?:de diffusion|d ?envoi|de contacts?))?",
    "arrêtez (?:de |d ?)?(?:me |m ?|nous )?(?:contacter|écrire|envoyer|harceler|spammer|solliciter|vos (?:e ?mails|mails|messages))(?: (?:des|vos|ces) (?:e ?mails?|mails?|messages?))?",
    "je (?:ne )?(?:souhaite|veux|désire) (?:plus|pas)(?: être (?:contacté|contactée|sollicité|sollicitée)| recevoir(?: (?:de|d|vos|ces))? ?(?:e ?mails?|mails?|messages?|courriels?|sollicitations?)?)(?: de votre part)?",
    "(?:laissez (?:moi|nous) tranquille|plus de (?:mails|messages|e ?mails))",
  ],
  es: [
    "no (?:me|nos) (?:contacte|contacten|contactes|escriba|escriban|escribas|envíe|envíen|envíes|mande|manden|mandes|moleste|molesten)(?: más| nunca más)?(?: (?:correos|e ?mails|mensajes|publicidad))?(?: más)?(?: electrónicos)?",
    "no (?:vuelva|vuelvan|vuelvas) a (?:contactarme|contactarnos|escribirme|escribirnos|enviarme|mandarme)(?: nada| correos| mensajes| e ?mails)?",
    "(?:elimine|eliminen|elimina|quite|quiten|quita|borre|borren|borra|retire|retiren|saque|saquen|eliminar|quitar|borrar)(?:me|nme|nos)?(?: (?:mi|mis|nuestro) (?:correo|dirección|datos|e ?mail|nombre|contacto))?(?: (?:de|de la|de su|de tu|de sus|de esta|de vuestra))?(?: (?:su|tu|la|lista|listas|base))?(?: (?:lista|listas|base))?(?: de (?:correo|correos|distribución|contactos|envío|datos))?",
    "(?:deje|dejen|deja|paren|pare) de (?:contactarme|escribirme|enviarme|mandarme|molestarme|enviar|mandar)(?: (?:correos|e ?mails|mensajes))?",
    "(?:ya )?no (?:quiero|deseo|queremos|deseamos) (?:recibir|ser contactado|ser contactada|que me contacten)(?: más)?(?: (?:correos|e ?mails|mensajes|publicidad|información|comunicaciones))?(?: (?:suyos|electrónicos))?",
    "(?:quiero )?(?:darme|dame|deme|denme|dar) de baja(?: de (?:la|su|esta) lista)?",
    "no más (?:correos|e ?mails|mensajes)",
  ],
  it: [
    "non (?:mi|ci) (?:contatti|contattate|contattare|scriva|scrivete|scrivere|scrivermi|mandi|mandate|invii|inviate|disturbi|disturbate)(?: più| mai più)(?: (?:e ?mail|messaggi|pubblicità))?",
    "non (?:contattatemi|contattarmi|scrivetemi|scrivermi|inviatemi|mandatemi|contattateci|contattarci) (?:più|mai più)(?: (?:e ?mail|messaggi))?",
    "(?:rimuovi|rimuova|rimuovete|cancella|cancelli|cancellate|elimini|eliminate|togli|tolga|togliete|toglietemi|rimuovetemi|cancellatemi|eliminatemi|cancellami|rimuovimi|toglimi|mi cancelli|mi tolga|mi rimuova)(?: (?:il mio indirizzo|la mia e ?mail|la mia mail|i miei dati))?(?: (?:dalla|dalle|da|dal))?(?: (?:vostra|vostre|sua|tua|questa|vostro|suo|tuo))?(?: (?:lista|liste|mailing list|database|elenco))?",
    "non (?:voglio|desidero|vogliamo|desideriamo) (?:più )?(?:ricevere|essere contattato|essere contattata)(?: (?:più|altre|altri|vostre|ulteriori))?(?: (?:e ?mail|messaggi|comunicazioni|pubblicità))?",
    "smett(?:ete|i|a|etela) di (?:scrivermi|contattarmi|mandarmi|inviarmi|scriverci)(?: (?:e ?mail|messaggi))?",
    "basta (?:e ?mail|messaggi|mail)",
  ],
  pt: [
    "não (?:me|nos) (?:contacte|contate|contactem|contatem|escreva|escrevam|envie|enviem|mande|mandem|incomode)(?: mais)?(?: (?:e ?mails?|mensagens|mails?))?(?: mais| novamente)?",
    "não (?:voltem?|volte) a (?:contactar|contatar|escrever|enviar|contactar me|escrever me)(?: me)?",
    "(?:remova|remover|removam|retire|retirem|exclua|excluam|apague|tire|tirem|elimine|eliminem|descadastre)(?: (?:me|o meu|meu|meus|os meus))?(?: (?:e ?mail|endereço|nome|dados|contato|contacto))?(?: (?:da|de|das))?(?: (?:sua|vossa|suas|esta|tua))?(?: (?:lista|listas|base))?(?: de (?:e ?mails?|contatos|contactos|distribuição|envio|dados))?",
    "(?:pare|parem|para|deixe|deixem) de (?:me )?(?:enviar|mandar|contactar|contatar|escrever|contactar me|enviar me)(?: (?:e ?mails?|mensagens))?",
    "não (?:quero|desejo|queremos|desejamos) (?:mais )?(?:receber|ser contactado|ser contatado|ser contactada|ser contatada)(?: mais)?(?: (?:e ?mails?|mensagens|comunicações|contatos|contactos))?",
  ],
  nl: [
    "(?:neem|neemt) (?:a u b |aub )?(?:geen|nooit|niet)(?: (?:verder|meer|nog))? contact (?:meer )?(?:met (?:mij|me|ons) )?(?:meer )?op(?: met (?:mij|me|ons))?",
    "(?:mail|schrijf|benader|contacteer|stuur)t? (?:mij|me|ons)(?: (?:aub|alstublieft))? (?:niet|nooit|geen)(?: meer)?(?: (?:e ?mails?|mails?|berichten))?(?: meer| verder)?",
    "(?:haal|verwijder|schrap|schrijf|meld)t? (?:mij|me|ons|mijn (?:adres|e ?mail|e ?mailadres|gegevens))(?: (?:aub|alstublieft))?(?: (?:uit|van|af|van de|uit de))?(?: (?:uw|jullie|je|de|deze))?(?: (?:lijst|maillijst|mailinglijst|verzendlijst|bestand|database))?(?: (?:af|uit))?",
    "(?:ik|wij) (?:wil|willen|wens|wensen) (?:geen|niet)(?: meer)? (?:(?:e ?mails?|mails?|berichten|contact)(?: meer)?(?: van u)?(?: ontvangen)?|(?:van u )?(?:benaderd worden|gecontacteerd worden))",
    "stop (?:met )?(?:(?:mij|me|ons) te )?(?:mailen|schrijven|mails|e ?mails|contacteren|benaderen)",
    "geen (?:e ?mails?|mails|berichten) meer",
  ],
  pl: [
    "proszę się (?:ze mną|z nami) (?:więcej )?nie kontaktować(?: więcej)?",
    "(?:proszę )?(?:się )?(?:więcej |już )?(?:nie|nigdy)(?: więcej| już)? (?:kontaktować|pisać|kontaktujcie|piszcie|pisz|kontaktuj|wysyłać|wysyłajcie|wysyłaj)(?: się)?(?: (?:ze mną|z nami|do mnie|do nas|mi|nam))?(?: (?:więcej|już))?(?: (?:maili|e ?maili|wiadomości))?",
    "(?:proszę o )?(?:usunięcie|usunąć|usuńcie|usuń|wypisać|wypiszcie|wypisz|wykreślić|wypisanie)(?: (?:mnie|nas|mój adres|moich danych|moje dane|mojego adresu))?(?: z (?:listy|bazy|waszej listy|waszej bazy|listy mailingowej|bazy danych|państwa bazy|państwa listy))?",
    "nie (?:chcę|życzę sobie|chcemy) (?:więcej |już )?(?:otrzymywać|dostawać|kontaktu|maili|wiadomości|być kontaktowany)(?: (?:więcej|od was|od państwa|takich))?(?: (?:maili|e ?maili|wiadomości))?",
  ],
  sv: [
    "(?:kontakta|maila|mejla|skriv)(?: (?:till|inte))?(?: (?:mig|oss))?(?: aldrig| inte)(?: (?:mig|oss))?(?: igen| mer| längre)?",
    "(?:skicka|sänd)(?: (?:mig|oss))? (?:inte|inga)(?: (?:mig|oss))?(?: (?:fler|mer|några))?(?: (?:mail|mejl|e ?post|meddelanden))?(?: till (?:mig|oss))?(?: igen| mer)?",
    "(?:ta|tag) (?:bort )?(?:mig|oss|min (?:adress|e ?post|mailadress))(?: bort)?(?: från (?:er|din|listan|er lista|din lista|listan|e ?postlistan|utskick|era utskick|er maillista))?(?: lista)?",
    "(?:jag|vi) vill inte (?:längre )?(?:(?:ha|få)(?: (?:fler|mer|några))? (?:mail|mejl|meddelanden|utskick)|bli kontaktade?)(?: från er)?(?: mer| längre| igen)?",
    "(?:sluta|inga fler) (?:maila|mejla|kontakta|skicka|mail|mejl|meddelanden)(?: (?:mig|oss))?(?: (?:mail|mejl))?",
    "avregistrera (?:mig|oss)",
  ],
  da: [
    "(?:lad være med at|ikke) (?:kontakte?|skrive? til|sende?)(?: (?:mig|os))?(?: flere)?(?: mails?)?(?: igen| mere)?",
    "(?:kontakt|skriv|mail)(?: (?:til|ikke))?(?: (?:mig|os))?(?: ikke| aldrig)(?: (?:mig|os))?(?: igen| mere)?",
    "send(?: (?:mig|os))? (?:ikke|ingen)(?: (?:mig|os))?(?: flere| mere)? (?:mails?|e ?mails?|beskeder)(?: (?:til (?:mig|os)|mere|igen))?",
    "(?:fjern|slet|afmeld)(?: (?:mig|os|min (?:adresse|mail|e ?mail)))(?: (?:fra|af))?(?: (?:jeres|din|denne|listen|mailinglisten))?(?: (?:liste|mailliste|mailingliste|lister|database))?",
    "(?:jeg|vi) (?:ønsker|vil) ikke (?:at )?(?:(?:modtage|få|have)(?: (?:flere|mere))? (?:mails?|e ?mails?|beskeder)|blive kontaktet|kontaktes|høre fra jer)(?: fra jer)?(?: mere| igen)?",
    "(?:stop med at|lad være med at|ikke flere) (?:skrive|kontakte|maile|sende|mails?|beskeder)(?: (?:til )?(?:mig|os))?(?: mails?)?",
  ],
  nb: [
    "ikke (?:kontakt|skriv til|send|mail)(?: (?:meg|oss))?(?: (?:flere|mer))?(?: (?:e ?poster|mailer?|meldinger|e ?post))?(?: igjen| mer)?",
    "(?:kontakt|skriv|send)(?: (?:til|ikke))?(?: (?:meg|oss))?(?: ikke| aldri)(?: (?:meg|oss))?(?: (?:flere|mer))?(?: (?:e ?poster|mailer?|meldinger|e ?post))?(?: igen| mer)?",
    "(?:fjern|slett|meld|stryk)(?: (?:meg|oss|min (?:adresse|e ?post)|e ?posten min))(?: (?:fra|av))?(?: (?:listen|deres|denne|listene|e ?postlisten))?(?: (?:liste|lista|database|e ?postliste))?(?: deres)?",
    "(?:jeg|vi) (?:ønsker|vil) ikke (?:å )?(?:(?:motta|få|ha)(?: (?:flere|mer))? (?:e ?poster|mailer?|meldinger|e ?post)|bli kontaktet|høre fra dere)(?: fra dere)?(?: mer| igjen)?",
    "(?:slutt|stopp) (?:å|med å) (?:kontakte|sende|skrive|maile)(?: (?:til )?(?:meg|oss))?(?: (?:e ?post|mailer?))?",
  ],
  fi: [
    "(?:älkää|älä)(?: enää)? (?:ottako|ota|lähettäkö|lähetä|kirjoittako|kirjoita)(?: (?:minulle|minuun|meihin|meille))?(?: enää)?(?: (?:yhteyttä|sähköpostia|viestejä|sähköposteja))?(?: (?:minuun|minulle|meihin|meille))?(?: enää| uudelleen)?",
    "(?:poistakaa|poista|poistakaa minut|poista minut)(?: (?:minut|meidät|osoitteeni|sähköpostini|tietoni))?(?: (?:postituslistalta|listalta|listaltanne|postituslistaltanne|rekisteristänne))?",
    "en (?:halua|toivo)(?: enää)? (?:saada|vastaanottaa|viestejä|yhteydenottoja|sähköposteja)(?: (?:viestejä|sähköpostia|sähköposteja|viestejänne))?(?: teiltä)?(?: enää)?",
  ],
  tr: [
    "(?:bir daha )?(?:bana|benimle|bize|bizimle)(?: bir daha| artık)? (?:yazmayın|yazma|mail atmayın|e ?posta göndermeyin|e ?posta gönderme|mesaj göndermeyin|iletişime geçmeyin|mail göndermeyin|ulaşmayın)",
    "(?:beni|bizi|adresimi|e ?postamı|e ?posta adresimi)(?: (?:bu|mail|e ?posta))?(?: (?:listenizden|listeden|listesinden|mail listenizden|e ?posta listenizden|listelerinizden)) (?:çıkarın|çıkartın|çıkarınız|silin|siliniz|çıkar|sil)",
    "(?:artık )?(?:e ?posta|mail|mesaj) (?:almak )?istemiyorum",
  ],
  cs: [
    "(?:už |již )?(?:mě|mne|mi|nás|nám)?(?: )?(?:už |již )?(?:prosím )?(?:nekontaktujte|nekontaktuj|nepište|nepiš|neposílejte|nezasílejte|neposílej)(?: (?:mě|mne|mi|nám|nás))?(?: (?:už|již|znovu|více))?(?: (?:žádné|další))?(?: (?:e ?maily|maily|zprávy))?",
    "(?:vyřaďte|odstraňte|smažte|odhlaste|vymažte|vyřaď|odhlas)(?: (?:mě|mne|nás|můj e ?mail|mou adresu|moji adresu))?(?: (?:ze|z))?(?: (?:seznamu|databáze|vašeho seznamu|vaší databáze|odběru|rozesílky))?",
    "(?:už |již )?nechci (?:(?:už|již|dále|více) )?(?:(?:dostávat |žádné |vaše |další )?(?:žádné |vaše |další )?(?:e ?maily|maily|zprávy)|být kontaktov(?:án|ána))",
  ],
  hu: [
    "(?:kérem )?(?:többet |többé )?(?:ne (?:írjanak|írjon|keressenek|keressen|küldjenek|küldjön|zavarjanak|keress|írj))(?: (?:nekem|többet|többé|engem|fel))?(?: (?:több|e ?mailt|levelet|üzenetet))?(?: (?:e ?mailt|levelet|üzenetet))?",
    "(?:kérem )?(?:töröljenek|töröljön|vegyenek le|iratkoztassanak le|törölje|töröljék)(?: (?:engem|az adatbázisból|a listáról|a listájukról|a címem|az e ?mail címemet|adataimat))?(?: (?:a listáról|a listájukról|az adatbázisból))?",
    "nem (?:kérek|szeretnék|akarok) (?:több|további)(?: ilyen)? (?:e ?mailt|levelet|üzenetet|megkeresést)(?: kapni)?",
  ],
  ro: [
    "(?:vă rog )?(?:să )?nu (?:mă|ne) (?:mai )?(?:contactați|contactaţi|contacta|contactezi|căutați|deranjați)(?: (?:din nou|niciodată))?",
    "(?:vă rog )?(?:să )?nu (?:îmi |mi )?(?:mai )?(?:scrieți|trimiteți|trimite|scrie)(?: (?:e ?mailuri|mailuri|mesaje))?",
    "(?:ștergeți|scoateți|eliminați|dezabonați)(?: (?:mă|ne|adresa mea|datele mele))?(?: (?:din|de pe))?(?: (?:lista|baza))?(?: (?:dumneavoastră|dvs|voastră|de date|de e ?mail))?",
    "nu (?:mai )?(?:doresc|vreau) (?:să )?(?:mai )?(?:primesc|fiu contactat|fiu contactată)(?: (?:e ?mailuri|mailuri|mesaje))?",
  ],
  ru: [
    "(?:больше )?(?:не|никогда не)(?: надо| нужно)?(?: больше)? (?:пишите|пиши|писать|присылайте|присылать|отправляйте|шлите|беспокойте|связывайтесь|звоните|контактируйте|обращайтесь)(?: со)?(?: (?:мне|нам|меня|мной))?(?: больше)?(?: (?:писем|письма|сообщений|рекламу|спам|ничего))?",
    "(?:удалите|уберите|исключите|отпишите|удали|убери)(?: (?:меня|нас|мой адрес|мои данные|мою почту|мой e ?mail))?(?: (?:из|от|с))?(?: (?:вашей|вашего|своей|этой|вашего списка|списка|базы|рассылки))?(?: (?:рассылки|базы|списка|базы данных|списка рассылки))?",
    "(?:я )?(?:больше )?не (?:хочу|желаю)(?: больше)? (?:получать|чтобы мне писали|видеть)(?: (?:от вас|ваши|такие))?(?: (?:письма|писем|сообщения|рассылку))?",
    "(?:прекратите|перестаньте|хватит) (?:мне )?(?:писать|слать|присылать|рассылку|спамить)(?: (?:мне|письма|спам))?",
  ],
  uk: [
    "(?:більше )?(?:не|ніколи не)(?: більше)? (?:пишіть|надсилайте|турбуйте|звʼязуйтесь|звязуйтеся|контактуйте|писати|надсилати)(?: (?:мені|нам|мене|зі мною))?(?: більше)?(?: (?:листів|листи|повідомлень))?",
    "(?:видаліть|приберіть|відпишіть|виключіть)(?: (?:мене|нас|мою адресу|мої дані))?(?: (?:з|зі|із|від))?(?: (?:вашої|вашого|цієї))?(?: (?:розсилки|списку|бази))?",
    "(?:я )?(?:більше )?не (?:хочу|бажаю)(?: більше)? (?:отримувати)(?: (?:від вас|ваші))?(?: (?:листи|листів|повідомлення))?",
  ],
  el: [
    "(?:να )?μην? (?:ξανα)?(?:με|μου|μας)? ?(?:ξανα)?(?:επικοινωνήσετε|επικοινωνείτε|επικοινωνήσεις|στείλετε|στέλνετε|στέλνεις|γράψετε|γράφετε|ενοχλείτε|ενοχλήσετε)(?: (?:ξανά|άλλα|πλέον))?(?: (?:μαζί μου|μαζί μας))?(?: (?:e ?mails?|μηνύματα|ξανά|πια))?",
    "(?:αφαιρέστε|διαγράψτε|βγάλτε|διαγράψετε|αφαίρεσε|διέγραψε)(?: (?:με|το e ?mail μου|τη διεύθυνσή μου|τα στοιχεία μου))?(?: (?:από))?(?: (?:τη|την|τις))?(?: (?:λίστα|λίστες|βάση))?(?: σας)?",
    "δεν (?:θέλω|επιθυμώ) (?:πλέον )?(?:να )?(?:(?:λαμβάνω|δέχομαι)(?: (?:άλλα|πλέον))?(?: (?:e ?mails?|μηνύματα))?|άλλα (?:e ?mails?|μηνύματα))(?: σας)?",
  ],
  he: [
    "(?:נא |בבקשה )?(?:אל|לא) (?:תפנו|תכתבו|תשלחו|לפנות|לשלוח|ליצור|תיצרו|תשלח|תפנה)(?: (?:קשר|אליי|אלי|לי|איתי|אתי|אלינו))?(?: (?:יותר|שוב|עוד|קשר))?(?: (?:מיילים|הודעות|יותר))?",
    "(?:נא )?(?:להסיר|הסר|הסירו|תסירו|למחוק|מחקו)(?: (?:אותי|אותנו|את הכתובת שלי|את כתובתי))?(?: (?:מרשימת|מהרשימה|מרשימה|מרשימות))?(?: (?:התפוצה|הדיוור|שלכם))?(?: שלכם)?",
  ],
  ar: [
    "(?:من فضلك |الرجاء |يرجى )?(?:لا|عدم|بعدم) (?:تتصل|تتصلوا|ترسل|ترسلوا|تراسلني|تراسلوني|التواصل|الاتصال|مراسلتي|ارسال|إرسال)(?: (?:بي|معي|لي|الي|إلي))?(?: (?:مرة اخرى|مرة أخرى|بعد الان|بعد الآن|رسائل|المزيد))?(?: (?:مرة اخرى|مرة أخرى|رسائل))?",
    "(?:الرجاء |يرجى |من فضلك )?(?:احذفني|ازالتي|إزالتي|حذف|ازلني|أزلني|احذفوني|الغاء اشتراكي|إلغاء اشتراكي)(?: (?:بريدي|عنواني|اسمي))?(?: (?:من))?(?: (?:القائمة|قائمتكم|قائمتك|قائمة))?(?: (?:البريدية|البريد))?",
  ],
  ja: [
    "(?:今後は? ?|もう ?|二度と ?|これ以上 ?)?(?:私に ?|弊社に ?|こちらに ?)?(?:の)?(?:ご?連絡|営業メール|メール|ご案内|送信|配信)(?:を|は|の送信を|の配信を|の送付を)? ?(?:しないで|送らないで|やめて|止めて|停止して|お控え|控えて|ご遠慮|不要です|お断りします|結構です|いりません)(?:ください|下さい|いただけますか|いただきたい|お願いします|お願いいたします)?(?:です)?",
    "(?:リスト|配信リスト|メーリングリスト|名簿|データベース)から(?:私を|弊社を|アドレスを|メールアドレスを)? ?(?:削除|外|除外|解除)(?:して|し)?(?:ください|下さい|てください|て下さい|お願いします|をお願いします)?",
    "(?:配信|登録|購読)(?:を)?(?:停止|解除)(?:して|を)?(?:ください|下さい|お願いします|希望|希望します|お願いいたします)?",
  ],
  zh: [
    "(?:请|請|麻烦|麻煩)?(?:以后|以後|今后|今後)?(?:不要|別|别|勿|停止|请勿|請勿|不用)(?:再)?(?:给我|給我|跟我|与我|與我|向我)?(?:再)?(?:联系|聯繫|聯絡|发|發|发送|發送|写|寄|打扰|打擾)(?:我|我们|我們|我了)?(?:任何)?(?:邮件|郵件|电邮|信息|訊息|消息|广告|廣告)?(?:给我|給我)?(?:了|谢谢|謝謝)?",
    "(?:请|請)?(?:把我|将我|將我|把我的邮箱|將我的郵箱)?从?從?(?:你们的|你們的|您的|贵公司的)?(?:邮件|郵件)?(?:列表|名单|名單|数据库|資料庫)?(?:中|上|里|裡)?(?:移除|删除|刪除|取消订阅|取消訂閱|退订|退訂)(?:我|我的邮箱|我的地址)?(?:谢谢|謝謝)?",
  ],
  ko: [
    "(?:더 ?이상|앞으로|다시는|이제)? ?(?:저에게|제게|저희에게|나에게)? ?(?:연락|이메일|메일|메시지|광고)(?:을|를|은|는)? ?(?:하지|보내지|주지) ?(?:마세요|말아 ?주세요|마십시오|말아 ?주십시오|마시기 바랍니다|말아 ?주시기 바랍니다)",
    "(?:메일링|이메일|메일|수신)? ?(?:리스트|목록|명단)에서 ?(?:저를|제 ?이메일을|제 ?주소를|제 ?메일을|저희를)? ?(?:삭제|제외|제거|빼)(?:해)? ?(?:주세요|주십시오|바랍니다|해주세요)",
    "수신 ?거부(?:합니다|해주세요|요청|요청합니다|부탁드립니다)?",
  ],
};

/** Expressions close to such a wish, or often said with it: of these a member is asked. */
export const UNSURE: readonly string[] = (
  "unsubscribe~opt out~opt me out~remove me~remove us~remove my~take me off~take us off~delete my~" +
  "stop (?:e ?mailing|sending|contacting|writing|spamming|messaging|calling)~" +
  "(?:do not|dont|never) (?:contact|e ?mail|message|write|text|call|send)(?: to)? (?:me|us)~no more e ?mails~" +
  "leave (?:me|us) alone~mailing list~spam~spammer~spamming~gdpr~ccpa~can spam~harass(?:ing|ment)?~" +
  "unsolicited~legal action~cease and desist~did not (?:consent|subscribe|sign up)~" +
  "never (?:consented|subscribed|signed up)~(?:where|how) did you (?:get|find|obtain) my~" +
  "block(?:ed|ing)? (?:you|your)~report(?:ed|ing)? you~not to be contacted~hear from you again~dsgvo~abmelden~" +
  "abbestellen~verteiler~nicht mehr (?:kontaktieren|anschreiben|schreiben)~" +
  "keine (?:weiteren )?(?:e ?mails|mails|werbung|nachrichten)~unerwünschte?n?~abmahnung~unterlassen~in ruhe~" +
  "meine daten~woher haben sie~désinscri\\p{L}*~désabonn\\p{L}*~ne plus (?:me|nous|m)~rgpd~liste de diffusion~" +
  "démarchage~cnil~darme de baja~dar de baja~no (?:me|nos) (?:contacte|escriba|envíe|moleste)\\p{L}*~" +
  "lista de correo~lopd~eliminen? mis datos~disiscri\\p{L}*~" +
  "non (?:mi|ci) (?:contatt|scriv|mand|invi)\\p{L}* più~cancellatemi~mailing list~descadastr\\p{L}*~" +
  "não (?:me|nos) (?:contact|contat|escrev|envi|mand)\\p{L}*~lgpd~remov\\p{L}* (?:me|o meu|meu)~uitschrijven~" +
  "afmelden~geen (?:mails?|e ?mails?) meer~avg~wypisa\\p{L}*~usunięci\\p{L}*~rodo~" +
  "nie (?:pisać|kontaktować|wysyłać)~avregistrera~avprenumerera~ta bort mig~afmeld\\p{L}*~fjern mig~" +
  "meld meg av~avmeld\\p{L}*~fjern meg~poistakaa~postituslista\\p{L}*~listenizden~kvkk~abonelikten~" +
  "odhlas\\p{L}*~nekontaktujte~leiratkoz\\p{L}*~dezabon\\p{L}*~отпис\\p{L}*~отпиш\\p{L}*~рассылк\\p{L}*~спам~" +
  "не пишите~розсилк\\p{L}*~відпи\\p{L}*~διαγραφή~λίστα"
).split("~");

/** Stand before or behind the wish and change nothing of it. */
export const AROUND: readonly string[] = (
  "please|pls|plz|kindly|just|simply|also|and|so|then|hereby|thanks|thank you|many thanks|thx|" +
  "thanks in advance|thank you in advance|no thanks|no thank you|no|sorry|ok|hi|hello|hey|not interested|" +
  "i am not interested|im not interested|we are not interested|were not interested|this is not relevant|" +
  "immediately|now|asap|at once|right away|right now|today|from now on|effective immediately|" +
  "as soon as possible|permanently|i ask you to|we ask you to|i would like you to|i want you to|" +
  "i request that you|i would appreciate it if you would|regards|kind regards|best regards|best|bitte|danke|" +
  "vielen dank|nein danke|kein interesse|ich habe kein interesse|wir haben kein interesse|sofort|umgehend|" +
  "ab sofort|hallo|guten tag|und|hiermit|ich bitte sie|in zukunft|merci|merci de|merci de bien vouloir|" +
  "veuillez|s il vous plaît|sil vous plaît|svp|bonjour|non merci|pas intéressé|je ne suis pas intéressé|" +
  "immédiatement|et|je vous prie de|à l avenir|por favor|gracias|hola|no gracias|no estoy interesado|" +
  "no me interesa|inmediatamente|y|buenos días|le ruego que|les pido que|per favore|per cortesia|grazie|" +
  "no grazie|non sono interessato|non mi interessa|buongiorno|vi prego di|prego|subito|la prego di|" +
  "per piacere|obrigado|obrigada|olá|não obrigado|não tenho interesse|imediatamente|bom dia|peço que|" +
  "por gentileza|alstublieft|a u b|aub|graag|bedankt|dank u|geen interesse|nee bedankt|wil u|wilt u|hallo|" +
  "per direct|dank je|proszę|dziękuję|nie jestem zainteresowany|nie dziękuję|dzień dobry|natychmiast|prosze o|" +
  "tack|snälla|vänligen|var vänlig|nej tack|inte intresserad|hej|omedelbart|och|tak|venligst|nej tak|" +
  "ikke interesseret|takk|vennligst|nei takk|ikke interessert|hei|vær så snill å|kiitos|olkaa hyvä|" +
  "olkaa ystävällisiä|ei kiitos|ystävällisesti|en ole kiinnostunut|lütfen|teşekkürler|teşekkür ederim|merhaba|" +
  "ilgilenmiyorum|hayır|prosím|děkuji|dobrý den|nemám zájem|okamžitě|kérem|kérjük|köszönöm|nem érdekel|vă rog|" +
  "mulțumesc|bună ziua|nu mă interesează|пожалуйста|спасибо|здравствуйте|не интересно|нет спасибо|прошу|" +
  "прошу вас|и|немедленно|будь ласка|дякую|добрий день|παρακαλώ|ευχαριστώ|όχι ευχαριστώ|καλημέρα|בבקשה|תודה|" +
  "שלום|من فضلك|شكرا|مرحبا|الرجاء|お願いします|よろしくお願いします|すみませんが|申し訳ありませんが|谢谢|謝謝|你好|您好|감사합니다|안녕하세요"
).split("|");

/** Ask for it politely; behind them a question mark is none. */
export const MODAL: readonly string[] = (
  "can you|could you|would you|will you|may i ask you to|can you please|would you mind to|können sie|" +
  "könnten sie|würden sie|kannst du|könntest du|pouvez vous|pourriez vous|puede|pueden|podría|podrían|può|" +
  "potete|potrebbe|potreste|pode|podem|poderia|poderiam|kunt u|kunnen jullie|zou u|kan ni|kan du|kunne du|" +
  "kan i|kan dere|voisitteko|můžete|mohli byste|puteți|можете|не могли бы вы|чи можете ви|μπορείτε να"
).split("|");
