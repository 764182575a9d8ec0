"""Credit CDRs, and lists that cost the same however long they are."""

import django.db.models.deletion
from django.db import migrations, models

from cpo import schema_sql


class Migration(migrations.Migration):

    dependencies = [("cpo", "0004_chargingprofiles"), ("ocpi", "0005_buckets")]

    operations = [
        migrations.RemoveConstraint(
            model_name='cdr',
            name='cpo_cdr_once_per_session',
        ),
        migrations.RemoveIndex(
            model_name='cdr',
            name='cpo_cdr_emsp',
        ),
        migrations.RemoveIndex(
            model_name='session',
            name='cpo_session_emsp',
        ),
        migrations.AddField(
            model_name='cdr',
            name='original',
            field=models.OneToOneField(blank=True, help_text='of a Credit CDR: what it takes back', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='credited_by', to='cpo.cdr'),
        ),
        migrations.AddField(
            model_name='cdr',
            name='replaces',
            field=models.OneToOneField(blank=True, help_text='what this CDR is issued in place of', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='replaced_by', to='cpo.cdr'),
        ),
        migrations.AddField(
            model_name='cdr',
            name='reason',
            field=models.CharField(blank=True, default='', help_text='of a correction; never sent', max_length=300),
            preserve_default=False,
        ),
        migrations.AddConstraint(
            model_name='cdr',
            constraint=models.UniqueConstraint(condition=models.Q(('credit', False), ('replaces', None), models.Q(('session_id', ''), _negated=True)), fields=('session_id',), name='cpo_cdr_once_per_session'),
        ),
        migrations.AddConstraint(
            model_name='cdr',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('credit', True), ('original__isnull', False)), models.Q(('credit', False), ('original', None)), _connector='OR'), name='cpo_cdr_credit_names_its_original'),
        ),
        migrations.AddField(
            model_name='location',
            name='private',
            field=models.BooleanField(db_default=False, default=False, help_text='not for the public: never sent, listed or commanded (LOC-42)'),
        ),
        migrations.RunSQL(schema_sql.CREDITS, schema_sql.CREDITS_REVERSE),
        migrations.RunSQL(schema_sql.LISTS, schema_sql.LISTS_REVERSE),
    ]
