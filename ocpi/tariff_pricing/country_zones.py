"""Countries (ISO 3166-1 alpha-3) whose whole territory has had one clock since charging stations exist."""

from collections.abc import Mapping
from typing import Final

# Countries with several clocks are left out on purpose: a guess there would be a wrong price.
_TABLE: Final = """
ALB Europe/Tirane      AND Europe/Andorra     ARE Asia/Dubai         ARM Asia/Yerevan       AUT Europe/Vienna
AZE Asia/Baku          BEL Europe/Brussels    BGD Asia/Dhaka         BGR Europe/Sofia       BHR Asia/Bahrain
BIH Europe/Sarajevo    BLR Europe/Minsk       BOL America/La_Paz     BWA Africa/Gaborone    CHE Europe/Zurich
CIV Africa/Abidjan     CMR Africa/Douala      COL America/Bogota     CRI America/Costa_Rica CYP Asia/Nicosia
CZE Europe/Prague      DEU Europe/Berlin      DNK Europe/Copenhagen  DOM America/Santo_Domingo DZA Africa/Algiers
EGY Africa/Cairo       EST Europe/Tallinn     ETH Africa/Addis_Ababa FIN Europe/Helsinki    GBR Europe/London
GEO Asia/Tbilisi       GGY Europe/Guernsey    GHA Africa/Accra       GIB Europe/Gibraltar   GRC Europe/Athens
GTM America/Guatemala  HKG Asia/Hong_Kong     HND America/Tegucigalpa HRV Europe/Zagreb     HUN Europe/Budapest
IMN Europe/Isle_of_Man IND Asia/Kolkata       IRL Europe/Dublin      IRN Asia/Tehran        IRQ Asia/Baghdad
ISL Atlantic/Reykjavik ISR Asia/Jerusalem     ITA Europe/Rome        JAM America/Jamaica    JEY Europe/Jersey
JOR Asia/Amman         JPN Asia/Tokyo         KEN Africa/Nairobi     KGZ Asia/Bishkek       KHM Asia/Phnom_Penh
KOR Asia/Seoul         KWT Asia/Kuwait        LAO Asia/Vientiane     LBN Asia/Beirut        LIE Europe/Vaduz
LKA Asia/Colombo       LTU Europe/Vilnius     LUX Europe/Luxembourg  LVA Europe/Riga        MAC Asia/Macau
MAR Africa/Casablanca  MCO Europe/Monaco      MDA Europe/Chisinau    MKD Europe/Skopje      MLT Europe/Malta
MMR Asia/Yangon        MNE Europe/Podgorica   MUS Indian/Mauritius   MYS Asia/Kuala_Lumpur  NAM Africa/Windhoek
NGA Africa/Lagos       NIC America/Managua    NLD Europe/Amsterdam   NOR Europe/Oslo        NPL Asia/Kathmandu
OMN Asia/Muscat        PAK Asia/Karachi       PAN America/Panama     PER America/Lima       PHL Asia/Manila
POL Europe/Warsaw      PRI America/Puerto_Rico PRY America/Asuncion  QAT Asia/Qatar         ROU Europe/Bucharest
RWA Africa/Kigali      SAU Asia/Riyadh        SEN Africa/Dakar       SGP Asia/Singapore     SLV America/El_Salvador
SMR Europe/San_Marino  SRB Europe/Belgrade    SVK Europe/Bratislava  SVN Europe/Ljubljana   SWE Europe/Stockholm
THA Asia/Bangkok       TJK Asia/Dushanbe      TKM Asia/Ashgabat      TTO America/Port_of_Spain TUN Africa/Tunis
TUR Europe/Istanbul    TWN Asia/Taipei        TZA Africa/Dar_es_Salaam UGA Africa/Kampala   URY America/Montevideo
UZB Asia/Tashkent      VAT Europe/Vatican     VEN America/Caracas    VNM Asia/Ho_Chi_Minh   ZAF Africa/Johannesburg
ZMB Africa/Lusaka      ZWE Africa/Harare
"""
_WORDS: Final = _TABLE.split()
ONLY_ZONE: Final[Mapping[str, str]] = dict(zip(_WORDS[::2], _WORDS[1::2], strict=True))
