from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("hub", "0005_known_objects")]

    operations = []
