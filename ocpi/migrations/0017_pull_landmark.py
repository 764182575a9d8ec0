"""A pull keeps one page that no later one may lead back to; it is empty for pulls under way, and for who knows none."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ocpi", "0016_finished_by_object_there")]

    operations = [
        migrations.AddField(
            "pullcursor",
            "landmark_url",
            models.TextField(
                blank=True,
                default="",
                db_default="",
                editable=False,
                help_text="a page that no later one may lead back to",
            ),
        ),
    ]
