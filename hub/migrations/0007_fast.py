from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("hub", "0006_clientinfo")]

    operations = []
