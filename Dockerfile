# The web server and the worker are of this one image; compose.yaml says which command each runs.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /srv/cjo

COPY requirements.txt .
RUN pip install --require-hashes --requirement requirements.txt

# Nothing to collect: static files are served out of the packages. Compiled here, as nothing can be written later.
COPY manage.py ./
COPY approvals/ approvals/
COPY cjo_site/ cjo_site/
COPY fixtures/ fixtures/
COPY journeys/ journeys/
RUN python -m compileall -q approvals cjo_site journeys \
    && useradd --uid 10001 --home-dir /var/lib/cjo --create-home --shell /usr/sbin/nologin cjo \
    && chmod 700 /var/lib/cjo

USER cjo
ENV ENV_FILE="" VAR_DIR=/var/lib/cjo
VOLUME /var/lib/cjo
