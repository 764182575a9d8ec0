from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("ocpi", "0005_buckets")]

    operations = []
