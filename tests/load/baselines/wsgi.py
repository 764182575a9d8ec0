"""The entrance of every baseline that is a Django view."""

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
