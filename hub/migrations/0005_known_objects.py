from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("hub", "0004_permissions")]

    operations = []
