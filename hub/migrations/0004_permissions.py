from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("hub", "0003_direct_versions")]

    operations = []
