"""Which operation ended a transaction, and Tokens by their uid (M-5, M-7)."""

import django.db.models.functions.text
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ("cpo", "0015_abilities"),
    ]

    operations = [
        migrations.AddField(
            model_name='transaction',
            name='ended_by',
            field=models.UUIDField(blank=True, help_text='the operation that ended it (M-5)', null=True),
        ),
        AddIndexConcurrently(
            model_name='token',
            index=models.Index(django.db.models.functions.text.Upper('uid'), name='cpo_token_uid'),
        ),
    ]
