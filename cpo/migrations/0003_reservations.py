"""Reservations at our EVSEs; what charge points turn out not to do."""

import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("cpo", "0002_sql")]

    operations = [
        migrations.AddField(
            model_name='evse',
            name='hardware',
            field=models.PositiveIntegerField(blank=True, help_text='EVSEs with the same number share one: only one charges at a time (LOC-67)', null=True),
        ),
        migrations.AddField(
            model_name='transaction',
            name='reserved_from',
            field=models.DateTimeField(blank=True, help_text='a reservation went before it (CDR-32)', null=True),
        ),
        migrations.CreateModel(
            name='Reservation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(unique=True)),
                ('state', models.CharField(choices=[('WAITING', 'WAITING'), ('ACCEPTED', 'ACCEPTED'), ('REFUSED', 'REFUSED'), ('USED', 'USED'), ('EXPIRED', 'EXPIRED'), ('CANCELLED', 'CANCELLED')], max_length=9)),
                ('country_code', models.CharField(help_text='the eMSP that asks', max_length=2)),
                ('party_id', models.CharField(max_length=3)),
                ('reservation_id', models.CharField(help_text='what the eMSP calls it', max_length=36)),
                ('connector_id', models.PositiveIntegerField(help_text='of the charge point; 0: whichever is free')),
                ('id_tag', models.CharField(max_length=36)),
                ('expires_at', models.DateTimeField()),
                ('snapshot', models.TextField(blank=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ended_by', models.CharField(blank=True, choices=[('eMSP', 'eMSP'), ('driver', 'driver'), ('time', 'time'), ('operator', 'operator'), ('charge point', 'charge point')], max_length=12)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('charge_point', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='cpo.chargepoint')),
                ('command', models.ForeignKey(blank=True, help_text='the RESERVE_NOW in force; a later end is told to its response_url (CMD-20)', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='cpo.command')),
                ('evse', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='cpo.evse')),
                ('location', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='cpo.location')),
                ('session', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reservation', to='cpo.session')),
            ],
        ),
        migrations.AddField(
            model_name='command',
            name='reservation',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='commands', to='cpo.reservation'),
        ),
        migrations.CreateModel(
            name='MissingFeature',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('action', models.CharField(max_length=64)),
                ('firmware', models.CharField(blank=True, max_length=50)),
                ('count', models.PositiveIntegerField()),
                ('evse_ids', models.JSONField(blank=True, default=list)),
                ('first_seen_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('charge_point', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='missing_features', to='cpo.chargepoint')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('charge_point', 'action'), name='cpo_missing_feature_once')],
            },
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(models.F('expires_at'), condition=models.Q(('state', 'ACCEPTED')), name='cpo_reservation_expiry'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(models.F('charge_point'), condition=models.Q(('state', 'ACCEPTED')), name='cpo_reservation_in_force'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(django.db.models.functions.text.Upper('party_id'), django.db.models.functions.text.Upper('reservation_id'), name='cpo_reservation_of_emsp'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Upper('country_code'), django.db.models.functions.text.Upper('party_id'), models.F('location'), django.db.models.functions.text.Upper('reservation_id'), condition=models.Q(('state__in', ('WAITING', 'ACCEPTED'))), name='cpo_reservation_open_once'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(('number__gt', 0)), name='cpo_reservation_number_positive'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'ACCEPTED'), _negated=True), ('started_at__isnull', False), _connector='OR'), name='cpo_reservation_in_force_since'),
        ),
    ]
