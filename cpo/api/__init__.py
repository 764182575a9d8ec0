"""The operation API: charge points driven over REST by scripts, test kits and operators (OCPP-115 … OCPP-124)."""
