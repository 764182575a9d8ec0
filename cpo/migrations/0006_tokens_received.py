"""When a Token came last, and when its eMSP's whole list no longer held it."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("cpo", "0005_credits")]

    operations = [
        migrations.AddField(
            model_name='token',
            name='gone_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='token',
            name='received_at',
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False),
        ),
        migrations.AddConstraint(
            model_name='token',
            constraint=models.CheckConstraint(condition=models.Q(('gone_at', None), ('valid', False), _connector='OR'), name='cpo_token_gone_is_invalid'),
        ),
    ]
