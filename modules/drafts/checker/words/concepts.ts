/**
 * Words of the seven languages that mean the same in a business letter, so that a paraphrase or a source in another language can back
 * a sentence. One line for each: name | en | de | fr | es | it | nl | pl. `open*` stands for every word that begins so. A name with
 * `!` is an event: a draft that tells it needs a source that tells the same event.
 */
export const CONCEPTS = `
!acquire|acquir* acquisition* buy buys buying bought purchas* takeover* takes took-over snapped|übernahm* übernomm* übernehm* übernimmt erwerb* erworb* erwirb* erwarb* kauf* gekauft zukauf* aufkauf* aufgekauft akquisition* akquirier*|rachat* rachet* acqui* achat* achet* reprise|adquir* adquisi* compr*|acqui* compra* comprat* rilev*|overgenomen overname* overneemt overnemen nam koop* kocht* gekocht aangekocht acquisitie* acquir*|przeję* przejm* przejęci* kupi* kupił* zakup* nabył* nabyci* akwizycj*
!merge|merg*|fusion* verschm* zusammenschl*|fusion*|fusion*|fusion* fond*|fus* gefuseerd|fuzj* połącz*
!sell_unit|sold divest* sale sell selling sells offload* dispos*|verkauf* veräußer*|vend* vente* cession* céd*|vend* venta*|vend* cess*|verkoop* verkocht*|sprzeda*
!raise|rais* funding fund* round* financ* secur* seed series|finanzierung* eingesammelt einsammel* sammelt* finanzier* runde kapital* seed series serie|levé* lev* lève* tour financement* financ* amorçage série|levant* recaud* ronda* financi* capt* serie semilla obtuv* obten*|raccol* round finanziament* serie finanzi* ottenu*|opgehaald ophalen haalde haalt financiering* ronde* serie kapitaal* investeringsronde*|pozyska* rund* finansowani* zebra* seri* dofinansowan*
!invest|invest*|invest* investier*|invest*|invert* inver*|invest*|invest* geïnvesteerd*|inwest* zainwest*
!open|open* inaugurat*|eröffn* öffn* geöffnet aufgemacht|ouv* inaugur*|abr* apertur* abiert* inaugur*|apr* apert* inaugur*|open* geopend*|otw* uruchom* inaugur*
!close_site|clos* shut* shutter*|schließ* geschlossen schloss* schliess*|ferm*|cerr* cierr*|chiu*|sluit* gesloten sloot|zamkn* zamyk*
!launch|launch* introduc* unveil* releas* rolled roll rollout debut*|gestartet start* startet* einführ* eingeführ* führte vorgestellt* vorstell* stellte lanc* launch* auf den|lanc* lanç* dévoil* introdu* déploi* présent*|lanz* present* introdu*|lanci* introdu* present* svel*|gelanceerd* lancer* lanceer* introduc* geïntroduceerd* uitgebracht* start* gestart*|wprowadz* uruchom* wypuści* premier* zaprezent* rozpocz* wdroż*
!hire|hir* recruit* headcount-growth vacanc* opening-role openings job jobs onboarded|einstell* eingestellt* stellt stellte rekrut* anstell* neueinstell* stellenanzeig* stellen offene personalsuche sucht suchen ausgeschrieben*|embauch* recrut* postes offre offres|contrat* reclut* vacant* incorpor*|assum* assunz* recluta* posizion*|aangenomen aannem* neemt aanwerv* werv* werf* vacature* recruit* geworven|zatrudn* rekrut* ogłoszeni* wakat* nabór
!layoff|layoff* laid lays laying redundanc* dismiss* cuts cutting cut|entlass* abbau* abgebaut* stellenabbau streich* gestrichen kündig*|licenci* supprim* suppression*|despid* despedi* recort*|licenz* tagli* esuber*|ontsla* ontslagen schrap* geschrapt|zwoln* zwalni* redukcj*
!appoint|appoint* nam* promot* nominat* elevat*|ernannt ernenn* bestell* berufen befördert|nomm* nomin* promu* désign*|nombr* ascend* design*|nomin* promoss*|benoem* aangesteld* aanstell*|mianow* awansow* powoła* objął objęła
!join|join* arrival|wechselt* stößt stieß angefangen tritt trat beigetreten|rejoin* rejoint arrivé*|incorpor* unió une unirse|entrat* unit* arriv* entra*|toegetreden trad treedt aansluit* aangeslot*|dołącz*
!leave|left leav* depart* resign* quit steps stepped|verlass* verlässt verließ* ausgeschieden ausscheid* zurückgetret* kündigt*|quitt* partir parti partie départ* démission*|dej* abandon* dimit* renunci* marchó|lasci* dimess* dimett*|verlat* verlaten verliet vertrek* vertrok*|odsz* odej* odchodz* rezyg* zrezyg*
!grow|growth grow grew grown growing increas* ris* rose up jump* climb* expand* surge* gain* higher rais*-sales|wachs* wuchs* wächst gewachsen steig* stieg* gestiegen steiger* gesteigert zunahm* zugenommen zunimmt erhöh* zuwachs* plus ausgebaut ausbau* anstieg|croiss* croît accroiss* augment* hauss* progress* accr* grimp*|crec* crecimiento aument* subi* incremen* sub* alza ampli*|cresc* crebb* aument* crescita salit* increment* sal*|groei* gegroeid* gro* stijg* steeg gesteg* toenam* toegenomen toename verhoog* gestegen|wzros* rosn* rośni* urosł* zwiększ* wzrost* wzrós* podnios*
!shrink|shrink* shrank shrunk cut cuts cutting declin* decreas* fell fall* drop* down lower reduc* slump* contract-rev dip*|sink* sank gesunken rückgang* zurückgegangen abnahm* abgenommen fiel fällt fallen gefallen schrumpf* geschrumpft reduzier* gesenkt senk* verringer* minus rückläufig* sinkt|baiss* diminu* recul* chut* rédui* réduct*|caí* cay* baj* disminu* descen* redu* caída*|cala calo calat* diminu* scend* sces* ridu* riduz*|daal* gedaald* dalen krimp* kromp gekrompen verminder* verlaag* afnam* afgenomen afname terugl* minder-omzet|spad* zmniejsz* malej* zmala* obniż* redukuj* zredukow*
!expand|expand* expansion enter* extend* branch* broaden*|expand* expansion ausdehn* ausgeweitet* ausweit* eintritt erweiter* tritt|étend* expansion élargi* implant* s'implant*|expan* ampli* entr* extend*|espan* ampli* estend* entra*|uitbreid* uitgebreid* expan* breidt betreed*|ekspans* rozszerz* rozwin* wesz* wchodz* wejśc* rozbudow*
!sign|sign* agree* contract* deal*|unterzeichn* unterschrieb* vertrag* verträge* vereinbar* geschlossen|sign* contrat* accord*|firm* contrato* acuerdo*|firma* contratt* accord* sigl*|teken* getekend* onderteken* contract* overeenk*|podpis* umow* kontrakt* porozumien*
!win|win wins winn* won award* award|gewann* gewinn* gewonnen auszeichn* ausgezeichnet preis* zuschlag|gagn* remport* prix récompens* lauréat*|gan* premi* galardon*|vinc* vint* premi* aggiudic*|won win* gewonn* prijs* onderscheid*|wygra* nagro* zdoby*
!lose|lost lose loses losing loss losses|verlor* verlier* verlust*|perd* perte*|perd* pierd*|perd* pers*|verlor* verlie* verlies*|strac* utrac* strat*
!migrate|migrat* switch* moved moving move replac* transition* ported|migrier* umgestell* umstell* gewechselt* wechsel* ablös* abgelöst* ersetz* umgestiegen umzog|migr* bascul* remplac* passé passer passage abandonn*|migr* cambi* reemplaz* sustitu* pasó pasaron pasado|migra* passat* sostitu* pass*|migr* gemigreerd* overgestapt overstap* stapte vervang* vervangen overgeschakeld*|migr* przeszl* przesz* zastąp* przejści* zamien* przeniós* przenios*
!partner|partner* alliance* collaborat* teamed cooperat* joint|partner* kooper* zusammenarbeit* allianz*|parten* alliance* collabor* coopér*|alianz* colabor* asoci* socio*|partner* allean* collabor* cooper*|partner* samenwerk* allianti*|partner* współprac* sojusz*
!sue|sue sued suing lawsuit* litigat*|klag* verklag*|poursui* procès plainte*|demand* demanda*|querel* denunci*|aangeklaagd rechtszaak klaagt|pozw* proces sądow*
!relocate|relocat* headquarter* hq moved-to|verleg* umzug* umgezogen zieht hauptsitz* zentrale*|déménag* siège*|traslad* sede*|trasfer* sede*|verhuis* hoofdkantoor* hoofdvestig*|przenios* przeprowadz* siedzib* centrala
!build|build* built construct*|bau* gebaut errichte* erbaut|construi* bâti* construct*|constru*|costru*|bouw* gebouw*|buduj* zbudowa* budow*
!certify|certif* accredit* complian* attest*|zertifi* akkredit*|certifi*|certific*|certific*|certific* gecertific*|certyfik* akredyt*
!stop|stop* discontinu* ceas* ended sunset* halt* suspend* paus*|stopp* eingestellt* beend* einstellung*|arrêt* cess* suspen*|suspend* ces* paró parad* paraliz*|sospe* interromp* cessat*|stop* gestopt beëindig* gestaakt|zatrzym* wstrzym* zakończ* zaprzest*
!delay|delay* postpon* push* slip*|verschob* verschieb* verzöger* vertag*|report* retard* décal*|retras* aplaz* pospu*|rimand* ritard* rinvi* posticip*|vertraag* uitgesteld* uitstel*|opóźn* przesuni* odłoż* przełoż*
!double|doubl* twofold|verdoppel* doppelt*|doubl*|duplic* dobl*|raddopp*|verdubbel*|podwo* dwukrotn*
!triple|tripl* threefold|verdreifach*|tripl*|triplic*|triplic*|verdrievoudig*|potro* trzykrotn*
!halve|halv*|halbier*|moitié|mitad|dimezz*|halveer* gehalveerd*|połow*
!list_ipo|ipo float* flotation|börsengang*|introduction-bourse bourse|bolsa|quotazion* borsa quotat*|beursgang*|giełd*
!deploy|deploy* implement* adopt* install* roll*|implementier* einführ* eingeführt* installier* setzt einsatz|déploy* adopt* install* implément*|implement* despleg* adopt* instal*|implement* adott* install*|implement* geïmplementeerd* ingevoerd* invoer* installeer* uitrol* uitgerold*|wdroż* wdraż* instal*
!reach|reach* pass* surpass* exceed* hit* cross*|erreich* überschr* übertr*|attein* dépass* franch*|alcanz* super*|raggiun* super*|bereik* overschr* gehaald|osiąg* przekrocz*
!fail|fail* bankrupt* insolv* collapse*|scheiter* insolv* pleite|échou* faillite|fracas* quiebr* insolv*|falli* fallit*|faill* mislukt*|upad* bankrut* niepowodz*
office|office* site* branch* location* premises|büro* standort* niederlassung* filiale* geschäftsstelle*|bureau* site* agence* implantation* succursale*|oficina* sede* sucursal* delegaci*|uffic* sede sedi filiale*|kantor* vestiging* locatie* filia*|biur* oddział* siedzib* placówk*
plant|plant plants factor* facilit*|werk werke werks fabrik* produktionsstätt* anlage*|usine* site*|planta* fábrica*|stabiliment* fabbric* impiant*|fabriek* installatie*|fabryk* zakład*
warehouse|warehouse* distribution depot* logistics-cent*|lager* logistikzentrum* verteilzentrum* distributionszentrum* logistik*|entrepôt* plateforme* logistique*|almacén* almacen* logístic*|magazzin* logistic*|magazijn* distributiecentr* loods* logist*|magazyn* logistyczn* dystrybuc*
store|store* shop* outlet*|laden läden geschäft* filiale* shop* markt märkte|magasin* boutique*|tienda*|negoz* punti-vendita|winkel* filia*|sklep* salon*
employee|employee* staff headcount workforce worker* personnel people|mitarbeit* beschäftigte* angestellte* belegschaft* personal*|salarié* employé* collaborateur* effectif* personnel|emplead* plantilla* trabajador* personal persona*|dipendent* personale organico addett* persone|medewerker* werknemer* personeel* mensen|pracownik* zatrudnion* załog* osób osob*
customer|customer* client* account*|kund* kundschaft*|client* clientèle|client*|client*|klant*|klient* odbiorc*
revenue|revenue* sales turnover|umsatz* erlös* umsätze*|chiffre affaire* revenu* vente*|ingreso* factura* ventas|fatturat* ricav*|omzet* opbrengst*|przychod* przychód obrot* sprzedaż*
profit|profit* earning* margin*|gewinn* ergebnis* marge*|bénéfice* résultat* marge*|beneficio* ganancia* margen*|util* margin* profitt*|winst* marge*|zysk* marż*
cost|cost* expens* spend*|kosten* aufwand* ausgaben|coût* dépense*|coste* gasto*|cost* spes*|kosten* uitgav*|koszt* wydatk*
price|pric*|preis*|prix tarif*|preci*|prezz*|prijs* prijz*|cen ceny cenę cena cennik*
market|market*|markt* märkt*|marché*|mercado*|mercat*|markt*|ryn*
product|product*|produkt*|produit*|product*|prodott*|product*|produkt*
service|servic*|dienst* service*|servic*|servici*|serviz*|dienst* service*|usłu*
software|software platform* app application* tool* system*|software* plattform* anwendung* werkzeug* system* app|logiciel* plateforme* application* outil* système*|software plataforma* aplicaci* herramienta* sistema*|software piattaform* applicazion* strument* sistem*|software* platform* applicatie* toepassing* systeem* systemen|oprogramow* platform* aplikacj* narzędzi* system*
sales_dept|sales|vertrieb*|ventes vente commerci*|ventas comercial*|vendit* commercial*|verkoop* sales|sprzedaż* handlow*
engineer|engineer* developer* programmer*|ingenieur* entwickler* techniker*|ingénieur* développeur*|ingenier* desarrollador*|ingegner* sviluppator*|ingenieur* ontwikkelaar* engineer*|inżynier* programist* deweloper*
salesperson|salespe* seller* rep reps account-exec*|vertriebs* verkäufer*|commercia* vendeur*|comercial* vendedor*|commercial* venditor*|verkoper* sales*|handlow* sprzedawc*
support_agent|support-agent* agent*|supportmitarbeit*|conseiller*|agente*|agent* operator*|supportmedewerker*|konsultant*
marketing|marketing*|marketing*|marketing*|marketing mercadotec*|marketing|marketing*|marketing*
finance_dept|finance financ* accounting accountant*|finanz* buchhalt*|finance* comptab*|finanz* contab*|finanz* contab*|financ* boekhoud*|finans* księgow*
logistics|logistic* supply shipping|logistik* lieferkette*|logistique* approvision*|logístic* suministro|logistic* fornitura|logistiek* leverings* toelever*|logisty* dostaw*
ceo|ceo chief executive managing-director|ceo geschäftsführ* vorstandsvorsitzend*|pdg directeur-général dg directrice-générale ceo|ceo consejero-delegado director-general|ceo amministrator* delegat* ad|ceo directeur bestuursvoorzitter*|ceo prezes*
cfo|cfo|cfo finanzvorstand* finanzchef*|cfo daf|cfo|cfo|cfo|cfo
head|head lead director manager chief vp vice president|leiter* leitung direktor* chef* verantwortlich*|directeur* directrice* responsable* chef*|director* jefe* responsable* gerente*|direttor* direttric* responsabil* capo|hoofd directeur* manager* leider*|dyrektor* kierowni* szef* menedżer*
board|board|vorstand* aufsichtsrat*|conseil|consejo|consiglio cda|raad bestuur*|zarząd* rad
founder|found*|gründ* gegründet*|fond*|fund*|fond*|opricht* opgericht*|założ*
subsidiary|subsidiar* unit division*|tochter* sparte*|filiale* division*|filial* división|filial* controllat* divisione|dochter* divisie*|spółk* filia* dywiz*
investor|investor* venture vc|investor* kapitalgeber*|investisseur*|inversor*|investitor*|investeerder*|inwestor*
training|train*|schul* ausbild*|form*|form* capacit*|formaz*|opleid* training*|szkole*
onboarding|onboard*|einarbeit* onboarding|intégration onboarding|incorporación onboarding|inserimento onboarding|inwerk* onboarding|wdrożen* onboarding
time_saved|sav*|spar* eingespart* einspar*|économ* gagn*|ahorr*|risparmi*|bespa*|oszczęd*
fast|fast* quick* speed* rapid* accelerat*|schnell* beschleunig*|rapid* vite accélér*|rápid* aceler*|veloc* rapid* acceler*|snel* versnel*|szyb* przyspiesz*
automate|automat*|automat*|automat*|automat*|automat* automatizz*|automat* geautomat*|automat* zautomat*
country_de|germany german|deutschland* deutsch*|allemagne allemand*|alemania alem*|germania tedesc*|duitsland duits*|niemcy niemc* niemiec*
country_fr|france french|frankreich* französ*|france français*|francia frances*|francia frances*|frankrijk frans*|francj* francus*
country_es|spain spanish|spanien* spanisch*|espagne espagnol*|españa español*|spagna spagnol*|spanje spaans*|hiszpan*
country_it|italy italian|italien* italienisch*|italie italien*|italia italian*|italia italian*|italië italiaan*|włoch* włosk*
country_nl|netherlands dutch holland|niederlande* niederländ* holland|pays-bas néerland* hollande|países holand* neerland*|paesi olanda olandes*|nederland* holland nederlands*|holand* niderland*
country_pl|poland polish|polen polnisch*|pologne polonais*|polonia polac*|polonia polacc*|polen pools*|polsk*
country_uk|uk britain british england kingdom|großbritannien britisch* england|royaume britannique* angleterre|reino británic* inglaterra|regno britannic* inghilterra|verenigd brits* engeland|brytani* brytyj* anglia
country_us|usa us america american states|usa amerika* staaten|états amérique américain*|estados america* eeuu|stati america*|amerika* vs staten|usa amery* stany
country_at|austria austrian|österreich*|autriche autrich*|austria austri*|austria austri*|oostenrijk*|austri*
country_ch|switzerland swiss|schweiz*|suisse*|suiza suiz*|svizzer*|zwitser*|szwajc*
country_be|belgium belgian|belgi*|belgi*|bélg* belg*|belg*|belg*|belgi*
europe|europe* eu|europ* eu|europ* ue|europ* ue|europ* ue|europ* eu|europ* ue
city|city cities town|stadt* städte*|ville*|ciudad*|città|stad steden|miast*
production|production produc* manufactur*|produktion* fertig* herstell*|production fabric* produi*|producción fabric* produc*|produzion* produc* fabbric*|producti* productie* producer*|produkc* wytwarz*
quality|quality|qualität*|qualité*|calidad*|qualità|kwaliteit*|jakoś*
security|secur* safe*|sicher* security|sécur*|segur*|sicur*|beveilig* veilig* security|bezpiecz*
data|data|daten*|donnée*|datos|dati|data gegevens|dane danych danymi
cloud|cloud|cloud|cloud nuage|nube cloud|cloud|cloud|chmur* cloud
year|year* annual*|jahr* jährlich*|an ans année* annuel*|año* anual*|ann* annual*|jaar* jaarlijks*|rok* lat* roczn*
month|month*|monat*|mois mensuel*|mes meses mensual*|mes* mensil*|maand*|miesi*
week|week*|woche* wöchent*|semaine* hebdo*|semana*|settiman*|week weken weke*|tydz* tygod*
day|day*|tag tage* täglich*|jour* quotid*|día* diari*|giorn*|dag* dagel*|dni dzień dzien*
minute|minute* min mins|minute*|minute*|minut*|minut*|minut* minuten|minut*
hour|hour*|stunde*|heure*|hora*|ora ore|uur uren|godzin*
more|more higher greater bigger larger beat beats beaten outsold outperform* outsell* ahead above|mehr höher* größer*|plus supérieur*|más mayor* superior*|più maggior* superior*|meer hoger* groter*|więcej wyższ* większ*
better|better|besser*|mieux meilleur*|mejor*|meglio|beter*|lepiej lepsz*
less|less fewer lower smaller below behind worse|weniger niedriger* kleiner* geringer*|moins inférieur*|menos menor* inferior*|meno minor* inferior*|minder lager* kleiner*|mniej niższ* mniejsz*
team|team* department*|team* abteilung*|équipe* service* département*|equipo* departamento*|team squadra* reparto* reparti|team* afdeling*|zespół zespoł* dział*
new|new|neu*|nouv*|nuev*|nuov*|nieuw*|now*
largest|largest biggest|größt*|plus-grand*|mayor*|maggiore|grootst*|największ*
leading|leading leader*|führend* marktführ*|leader*|líder*|leader*|toonaangevend* marktleider* leider*|wiodąc* lider*
award_noun|award* prize*|preis* auszeichn*|prix récompens*|premi* galard*|premi*|prijs prijzen|nagrod*
website|websit*|website* webseite* internetauftritt*|site*|web sitio|sito|website*|stron* witryn*
shop_online|e-commerce ecommerce online webshop|onlineshop* onlinehandel* e-commerce|ligne e-commerce|línea online e-commerce|online e-commerce|webshop* webwinkel* online|internetow* online
delivery|deliver*|liefer* geliefert*|livr*|entreg*|consegn*|lever* bezorg*|dostaw* dostarcz*
energy|energy power|energie* strom*|énergie* électric*|energía eléctric*|energia elettric*|energie* stroom|energi* prąd*
solar|solar photovolta*|solar* photovolta*|solaire* photovolt*|solar* fotovolt*|solar* fotovolt*|zonne*|słonecz* fotowolt*
machine|machine*|maschine*|machine*|máquina*|macchin*|machine*|maszyn*
hospital|hospital* clinic*|krankenh* klinik*|hôpita* cliniqu*|hospital* clínic*|ospedal* clinic*|ziekenhuis* ziekenhuizen klinie*|szpital* klini*
school|school*|schul*|écol*|escuel*|scuol*|school* scholen|szkoł*
bank|bank*|bank*|banqu*|banc*|banc*|bank*|bank*
tender|tender*|ausschreib*|appel-offre*|licitaci*|gara|aanbested*|przetarg*
study|study survey* report*|studie* umfrage*|étude* enquête*|estudio* encuesta*|studi* sondagg*|studie* onderzoek*|badan* ankiet*
complaint|complain*|beschwer*|plainte* réclam*|quej* reclam*|reclam* lament*|klacht*|skarg* reklamac*
supplier|supplier* vendor*|lieferant* zulieferer* anbieter*|fournisseur* prestataire*|proveedor*|fornitor*|leverancier*|dostawc*
vehicle|vehicle* fleet* lorr* truck* van vans car cars|fahrzeug* flotte* lkw fuhrpark*|véhicule* flotte* camion*|vehícul* flota* camion*|veicol* flott* camion*|voertuig* vloot wagenpark* vrachtwagen*|pojazd* flot* ciężar*
user|user*|nutzer* anwender* benutzer*|utilisateur*|usuari*|utent*|gebruiker*|użytkown*
country|countr* nation*|land länder* länd*|pays national*|país* nacional*|paes* nazional*|land landen nation*|kraj* państw*
region|region* area*|region* gebiet*|région*|región* zona*|region* area*|regio*|region* obszar*
patent|patent*|patent*|brevet*|patent*|brevett*|patent* octrooi*|patent*
emission|emission* carbon co2|emission* co2|émission* carbone co2|emision* carbono co2|emission* carbonio co2|uitstoot emissie* co2|emisj* co2
satisfaction|satisf*|zufrieden*|satisf*|satisf*|soddisf*|tevreden*|zadowol* satysfakc*
`;
