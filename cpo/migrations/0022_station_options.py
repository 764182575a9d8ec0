"""What may differ by charge point: pings, frames, actions, meters; nodes are told when it changes (OCPP-105)."""

from django.db import migrations, models

# What a node holds of a charge point is read anew at once when it changes (OCPP-105).
TOLD_BEFORE = """
    CREATE OR REPLACE TRIGGER ocpp_tell_charge_point AFTER DELETE OR UPDATE OF password_digest, security_profile,
        protocols, no_subprotocol_is_16, boot_status, strictness, heartbeat_seconds, ping_seconds ON cpo_chargepoint
        FOR EACH ROW EXECUTE FUNCTION ocpp_tell_charge_point();
"""
TOLD = """
    CREATE OR REPLACE TRIGGER ocpp_tell_charge_point AFTER DELETE OR UPDATE OF password_digest, security_profile,
        protocols, no_subprotocol_is_16, boot_status, strictness, heartbeat_seconds, ping_seconds,
        ping_timeout_seconds, frame_bytes, compression, switched_off ON cpo_chargepoint
        FOR EACH ROW EXECUTE FUNCTION ocpp_tell_charge_point();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('cpo', '0021_parks_by_power'),
    ]

    operations = [
        migrations.AddField(
            model_name='chargepoint',
            name='compression',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='chargepoint',
            name='frame_bytes',
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='chargepoint',
            name='ping_timeout_seconds',
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='chargepoint',
            name='register_direction',
            field=models.CharField(choices=[('import', 'Import'), ('export', 'Export')], db_default='import', default='import', max_length=6),
        ),
        migrations.AddField(
            model_name='chargepoint',
            name='switched_off',
            field=models.JSONField(blank=True, db_default=models.Value([], output_field=models.JSONField()), default=list),
        ),
        migrations.RunSQL(TOLD, TOLD_BEFORE),
    ]
