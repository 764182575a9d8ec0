"""What OCPP 2.0.1 adds to connectors, transactions and readings."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("cpo", "0007_local_lists"),
    ]

    operations = [
        migrations.CreateModel(
            name='TransactionEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('seq_no', models.IntegerField()),
                ('kind', models.CharField(help_text='Started, Updated or Ended', max_length=7)),
                ('at', models.DateTimeField()),
                ('facts', models.JSONField(default=dict, help_text='what else it says')),
                ('answer', models.TextField(blank=True, help_text='what it was answered with')),
                ('received_at', models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name='chargepointconnector',
            name='plugs',
            field=models.JSONField(blank=True, db_default=models.Value({}, output_field=models.JSONField()), default=dict),
        ),
        migrations.AddField(
            model_name='meterreading',
            name='export_wh',
            field=models.DecimalField(blank=True, decimal_places=3, max_digits=18, null=True),
        ),
        migrations.AddField(
            model_name='meterreading',
            name='interval_wh',
            field=models.DecimalField(blank=True, decimal_places=3, help_text='since the reading before', max_digits=18, null=True),
        ),
        migrations.AddField(
            model_name='meterreading',
            name='signatures',
            field=models.JSONField(blank=True, db_default=models.Value([], output_field=models.JSONField()), default=list, help_text='signedMeterValues of OCPP 2.0.1'),
        ),
        migrations.AddField(
            model_name='transaction',
            name='charging_state',
            field=models.CharField(blank=True, db_default='', help_text='in OCPP 2.0.1', max_length=20),
        ),
        migrations.AddField(
            model_name='transaction',
            name='gap_since',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='transaction',
            name='heard_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='transaction',
            name='ocpp_id',
            field=models.CharField(blank=True, db_default='', help_text="the charge point's, in OCPP 2.0.1", max_length=36),
        ),
        migrations.AddField(
            model_name='transaction',
            name='plug',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='which connector of the EVSE; 0: not known'),
        ),
        migrations.AddField(
            model_name='transaction',
            name='started_by',
            field=models.UUIDField(blank=True, help_text='the operation it came from (OCPP-54)', null=True),
        ),
        migrations.AddField(
            model_name='transaction',
            name='token_type',
            field=models.CharField(blank=True, db_default='', help_text='of the id tag, in OCPP 2.0.1', max_length=20),
        ),
        migrations.AlterField(
            model_name='transaction',
            name='connector_id',
            field=models.PositiveIntegerField(help_text='in OCPP 2.0.1 the EVSE'),
        ),
        migrations.AlterField(
            model_name='transaction',
            name='transaction_id',
            field=models.IntegerField(help_text="ours; in OCPP 1.6 the charge point's as well", unique=True),
        ),
        migrations.AddField(
            model_name='transactionevent',
            name='transaction',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='events', to='cpo.transaction'),
        ),
        migrations.AddConstraint(
            model_name='transactionevent',
            constraint=models.UniqueConstraint(fields=('transaction', 'seq_no', 'kind', 'at'), name='cpo_transaction_event_once'),
        ),
    ]
