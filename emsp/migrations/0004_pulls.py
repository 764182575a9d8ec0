"""What a full pull no longer holds, and who brought a Location."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("emsp", "0003_sending"), ("ocpi", "0003_pulls")]

    operations = [
        migrations.AddField(
            model_name='location',
            name='gone_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='location',
            name='received_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
        ),
        migrations.AddField(
            model_name='tariff',
            name='received_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
        ),
        migrations.AddField(
            model_name='location',
            name='platform',
            field=models.ForeignKey(blank=True, db_index=False, help_text='who brought it last', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='ocpi.platform'),
        ),
        migrations.AddIndex(
            model_name='location',
            index=models.Index(fields=['platform', 'country_code', 'party_id'], name='emsp_location_brought_by'),
        ),
    ]
