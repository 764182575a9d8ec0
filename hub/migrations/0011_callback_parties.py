from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("hub", "0010_known_objects_announced")]

    operations = [
        migrations.AddField(
            model_name=name,
            name=field,
            field=models.CharField(blank=True, db_default="", editable=False, max_length=6),
        )
        for name, field in (("callback", "owner_party"), ("callback", "caller_party"))
    ]
