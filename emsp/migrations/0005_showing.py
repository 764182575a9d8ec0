"""What is needed to show Locations to drivers."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("emsp", "0004_pulls")]

    operations = [
        migrations.AddField(
            model_name='location',
            name='publish',
            field=models.BooleanField(db_default=False),
        ),
        migrations.AddIndex(
            model_name='location',
            index=models.Index(models.F('id'), condition=models.Q(('publish', False)), name='emsp_location_unpublished'),
        ),
        # Of Locations that were there before; reversed there is nothing to undo.
        migrations.RunSQL(
            "UPDATE emsp_location SET publish = coalesce((document::jsonb ->> 'publish')::boolean, false)",
            migrations.RunSQL.noop,
        ),
    ]
