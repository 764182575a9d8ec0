"""How what a dead node has left is cleared away, in SQL: by any node that lives, and by any worker (OCPP-100)."""

SILENT_SECONDS = 20  # a node says every five seconds that it lives; looked at every five, its entries go within 30 s

SILENT = "SELECT name FROM cpo_gatewaynode WHERE seen_at < clock_timestamp() - make_interval(secs => %s)"
# In this order, each with the node's name: its connections, its operations (OCPP-79), and at last the node itself.
BURIAL = (
    """WITH gone AS (UPDATE cpo_chargepoint SET online = false WHERE node = %s AND online RETURNING id, epoch)
       SELECT pg_notify('ocpp_connection', format('%%s %%s ', id, epoch)) FROM gone""",
    """UPDATE cpo_operation SET state = 'CONNECTION_LOST', ended_at = clock_timestamp(),
           error = 'the gateway node is gone' WHERE node = %s AND state = 'SENT'""",
    "DELETE FROM cpo_gatewaynode WHERE name = %s",
)
