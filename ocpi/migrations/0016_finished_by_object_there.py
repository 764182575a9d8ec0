"""What came last of an object at a platform is found by one look into an index, made while the table is written to."""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # CREATE INDEX CONCURRENTLY
    dependencies = [("ocpi", "0015_exchange_hashes")]

    operations = [
        AddIndexConcurrently(
            "finisheddelivery",
            models.Index("source", "source_id", "platform", "id", name="finished_by_object_there"),
        ),
        RemoveIndexConcurrently("finisheddelivery", "finished_by_object"),
    ]
