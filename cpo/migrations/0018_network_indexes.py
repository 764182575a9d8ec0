import django.contrib.postgres.indexes
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("cpo", "0017_network"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='framelog',
            index=django.contrib.postgres.indexes.BrinIndex(autosummarize=True, fields=['at'], name='frame_age'),
        ),
        AddIndexConcurrently(
            model_name='transaction',
            index=models.Index(models.F('stopped_at'), condition=models.Q(('stopped_at__isnull', False), ('thinned_at', None)), name='cpo_transaction_to_thin'),
        ),
    ]
