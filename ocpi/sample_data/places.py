"""Where charge points stand: cities with coordinates and postal codes, countries with zone, language and streets."""

import random
from dataclasses import dataclass

# Letters that Dutch and British postal codes use without reserved combinations.
_LETTERS = "ABEGHKLNPRTXZ"


@dataclass(frozen=True, slots=True)
class Country:
    """What all places of a country have in common."""

    alpha2: str
    alpha3: str
    time_zone: str
    language: str
    number_first: bool
    streets: tuple[str, ...]
    # The words for a parking garage, a parking lot, a place at the kerb and a motorway rest area.
    words: tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """A city; in `postal_code` # stands for a digit and @ for a letter."""

    city: str
    country: Country
    state: str
    latitude: float
    longitude: float
    postal_code: str

    def address(self, draw: random.Random) -> tuple[str, str]:
        """Return a street and the address in it."""
        street = draw.choice(self.country.streets)
        number = 1 + int(draw.random() * 180)
        return street, f"{number} {street}" if self.country.number_first else f"{street} {number}"

    def code(self, draw: random.Random) -> str:
        letters = {"#": "0123456789", "@": _LETTERS}
        return "".join(draw.choice(letters[sign]) if sign in letters else sign for sign in self.postal_code)

    def point(self, draw: random.Random, spread: float = 0.03) -> dict[str, str]:
        """Return a GeoLocation in the city, with six decimals."""
        return near(self.latitude, self.longitude, draw, spread)


def near(latitude: float, longitude: float, draw: random.Random, spread: float) -> dict[str, str]:
    return {
        "latitude": f"{latitude + (draw.random() - 0.5) * spread:.6f}",
        "longitude": f"{longitude + (draw.random() - 0.5) * spread:.6f}",
    }


# alpha-2 | alpha-3 | zone | language | number before street | streets | words
_COUNTRIES = """
NL|NLD|Europe/Amsterdam|nl|0|Stationsplein,Marktstraat,Kanaalweg,Molenlaan,Havenstraat,Julianalaan|Parkeergarage,P+R,Laadplein,Verzorgingsplaats
DE|DEU|Europe/Berlin|de|0|Bahnhofstraße,Hauptstraße,Lindenallee,Schillerstraße,Am Marktplatz,Goetheweg|Parkhaus,Parkplatz,Ladepark,Rastplatz
BE|BEL|Europe/Brussels|nl|0|Kerkstraat,Stationsstraat,Nieuwstraat,Leopoldlaan,Grote Markt,Vaartkade|Parking,Randparking,Laadplein,Snelwegparking
FR|FRA|Europe/Paris|fr|1|rue de la Gare,avenue Victor Hugo,place de la République,rue du Marché,boulevard Pasteur,quai des Fleurs|Parking couvert,Parking,Station,Aire
AT|AUT|Europe/Vienna|de|0|Bahnhofplatz,Mozartgasse,Ringstraße,Kirchengasse,Donaulände,Feldweg|Parkgarage,Parkplatz,Ladehof,Raststation
CH|CHE|Europe/Zurich|de|0|Bahnhofstrasse,Dorfstrasse,Seestrasse,Kirchweg,Industriestrasse,Marktgasse|Parkhaus,Parkplatz,Ladestation,Raststätte
LU|LUX|Europe/Luxembourg|fr|1|rue de la Gare,avenue de la Liberté,rue du Fort,boulevard Royal|Parking couvert,P+R,Station,Aire
DK|DNK|Europe/Copenhagen|da|0|Banegårdsplads,Nørregade,Havnegade,Skolevej,Strandvejen|Parkeringshus,Parkering,Ladeplads,Rasteplads
SE|SWE|Europe/Stockholm|sv|0|Storgatan,Järnvägsgatan,Hamngatan,Skolgatan,Kungsgatan|Parkeringshus,Parkering,Laddplats,Rastplats
NO|NOR|Europe/Oslo|nb|0|Storgata,Jernbanegata,Havnegata,Kirkeveien,Strandgata|Parkeringshus,Parkering,Ladeplass,Rasteplass
FI|FIN|Europe/Helsinki|fi|0|Asematie,Kauppakatu,Rantatie,Koulukatu,Satamakatu|Pysäköintitalo,Pysäköinti,Latauspiste,Levähdyspaikka
PL|POL|Europe/Warsaw|pl|0|Dworcowa,Rynek,Ogrodowa,Lipowa,Portowa|Garaż,Parking,Stacja,MOP
CZ|CZE|Europe/Prague|cs|0|Nádražní,Hlavní,Zahradní,Školní,Lipová|Parkovací dům,Parkoviště,Stanice,Odpočívadlo
HU|HUN|Europe/Budapest|hu|0|Fő utca,Petőfi utca,Kossuth tér,Duna sor|Parkolóház,Parkoló,Töltőpont,Pihenőhely
ES|ESP|Europe/Madrid|es|0|Calle Mayor,Avenida de la Estación,Plaza del Mercado,Calle del Sol,Paseo Marítimo|Aparcamiento cubierto,Aparcamiento,Electrolinera,Área
PT|PRT|Europe/Lisbon|pt|0|Rua da Estação,Avenida da Liberdade,Praça do Comércio,Rua das Flores|Parque coberto,Parque,Posto,Área
IT|ITA|Europe/Rome|it|0|Via Roma,Via Garibaldi,Piazza della Stazione,Corso Italia,Viale dei Tigli|Autorimessa,Parcheggio,Stazione,Autogrill
GB|GBR|Europe/London|en|1|Station Road,High Street,Mill Lane,Church Street,Harbour Way|Car park,Parking,Charging hub,Services
IE|IRL|Europe/Dublin|en|1|Main Street,Bridge Street,Quay Street,Station Road|Car park,Park and Ride,Charging hub,Services
"""  # noqa: E501 - a table, one country per line

# city | country | state (may be empty) | latitude | longitude | postal code
_PLACES = """
Amsterdam|NL|Noord-Holland|52.3702|4.8952|10## @@
Rotterdam|NL|Zuid-Holland|51.9225|4.4792|30## @@
Utrecht|NL|Utrecht|52.0907|5.1214|35## @@
Den Haag|NL|Zuid-Holland|52.0705|4.3007|25## @@
Eindhoven|NL|Noord-Brabant|51.4416|5.4697|56## @@
Groningen|NL|Groningen|53.2194|6.5665|97## @@
Maastricht|NL|Limburg|50.8514|5.6910|62## @@
Zwolle|NL|Overijssel|52.5168|6.0830|80## @@
Arnhem|NL|Gelderland|51.9851|5.8987|68## @@
Breda|NL|Noord-Brabant|51.5719|4.7683|48## @@
Berlin|DE|Berlin|52.5200|13.4050|10###
Hamburg|DE|Hamburg|53.5511|9.9937|20###
München|DE|Bayern|48.1351|11.5820|80###
Köln|DE|Nordrhein-Westfalen|50.9375|6.9603|50###
Frankfurt am Main|DE|Hessen|50.1109|8.6821|60###
Stuttgart|DE|Baden-Württemberg|48.7758|9.1829|70###
Dresden|DE|Sachsen|51.0504|13.7373|01###
Leipzig|DE|Sachsen|51.3397|12.3731|04###
Hannover|DE|Niedersachsen|52.3759|9.7320|30###
Bremen|DE|Bremen|53.0793|8.8017|28###
Nürnberg|DE|Bayern|49.4521|11.0767|90###
Münster|DE|Nordrhein-Westfalen|51.9607|7.6261|48###
Brussel|BE||50.8503|4.3517|10##
Antwerpen|BE|Antwerpen|51.2194|4.4025|20##
Gent|BE|Oost-Vlaanderen|51.0543|3.7174|90##
Brugge|BE|West-Vlaanderen|51.2093|3.2247|80##
Leuven|BE|Vlaams-Brabant|50.8798|4.7005|30##
Paris|FR||48.8566|2.3522|750##
Lyon|FR||45.7640|4.8357|690##
Lille|FR||50.6292|3.0573|590##
Bordeaux|FR||44.8378|-0.5792|330##
Strasbourg|FR||48.5734|7.7521|670##
Nantes|FR||47.2184|-1.5536|440##
Wien|AT||48.2082|16.3738|10##
Graz|AT|Steiermark|47.0707|15.4395|80##
Salzburg|AT|Salzburg|47.8095|13.0550|50##
Zürich|CH|Zürich|47.3769|8.5417|80##
Bern|CH|Bern|46.9480|7.4474|30##
Basel|CH|Basel-Stadt|47.5596|7.5886|40##
Luxembourg|LU||49.6116|6.1319|L-1###
København|DK||55.6761|12.5683|21##
Aarhus|DK||56.1629|10.2039|80##
Stockholm|SE||59.3293|18.0686|111 ##
Göteborg|SE||57.7089|11.9746|411 ##
Oslo|NO||59.9139|10.7522|01##
Bergen|NO|Vestland|60.3913|5.3221|50##
Helsinki|FI||60.1699|24.9384|001##
Warszawa|PL|Mazowieckie|52.2297|21.0122|00-###
Kraków|PL|Małopolskie|50.0647|19.9450|30-###
Praha|CZ||50.0755|14.4378|110 ##
Brno|CZ||49.1951|16.6068|602 ##
Budapest|HU||47.4979|19.0402|10##
Madrid|ES|Madrid|40.4168|-3.7038|280##
Barcelona|ES|Cataluña|41.3874|2.1686|080##
Valencia|ES|Comunitat Valenciana|39.4699|-0.3763|460##
Lisboa|PT||38.7223|-9.1393|11##-###
Porto|PT||41.1579|-8.6291|40##-###
Milano|IT|Lombardia|45.4642|9.1900|201##
Torino|IT|Piemonte|45.0703|7.6869|101##
Bologna|IT|Emilia-Romagna|44.4949|11.3426|401##
London|GB||51.5072|-0.1276|SE# #@@
Manchester|GB||53.4808|-2.2426|M# #@@
Dublin|IE||53.3498|-6.2603|D02 @###
"""


def _country(line: str) -> Country:
    alpha2, alpha3, zone, language, number_first, streets, words = line.split("|")
    garage, lot, kerb, motorway = words.split(",")
    return Country(
        alpha2, alpha3, zone, language, number_first == "1", tuple(streets.split(",")), (garage, lot, kerb, motorway)
    )


def _place(line: str) -> Place:
    city, alpha2, state, latitude, longitude, postal_code = line.split("|")
    return Place(city, COUNTRIES[alpha2], state, float(latitude), float(longitude), postal_code)


COUNTRIES = {line[:2]: _country(line) for line in _COUNTRIES.split("\n") if line}
PLACES = tuple(_place(line) for line in _PLACES.split("\n") if line)


def home(country_code: str) -> tuple[Place, ...]:
    """Return the places in an operator's own country, or all if the table has none there."""
    return tuple(place for place in PLACES if place.country.alpha2 == country_code.upper()) or PLACES
