"""Emergency stops are an alarm (M-5)."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ("cpo", "0018_network_indexes"),
    ]

    operations = [
        migrations.AlterField(
            model_name='stationalarm',
            name='kind',
            field=models.CharField(choices=[('offline', 'offline'), ('faulted', 'faulted'), ('reconnects', 'reconnects'), ('clock', 'clock'), ('stale', 'stale'), ('parked', 'parked'), ('unmatched', 'unmatched'), ('local_list', 'local_list'), ('emergency', 'emergency')], max_length=16),
        ),
        AddIndexConcurrently(
            model_name='transaction',
            index=models.Index(models.F('heard_at'), condition=models.Q(('reason__in', ('EmergencyStop', 'GroundFault', 'OvercurrentFault'))), name='cpo_transaction_emergency'),
        ),
    ]
