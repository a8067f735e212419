# A detector behind HTTP: docs/serving.md says how to run it. The detector is mounted at /detector.oodkit.
FROM python:3.12-slim

RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin oodkit

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY ood_toolkit ood_toolkit
# torch for the CPU alone, without the libraries of a GPU.
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu torch torchvision \
    && pip install --no-cache-dir '.[serve]'

USER oodkit
WORKDIR /home/oodkit
ENV OODKIT_STORE=/tmp/oodkit PYTHONUNBUFFERED=1
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=3)"]
ENTRYPOINT ["oodkit", "serve", "/detector.oodkit", "--host", "0.0.0.0", "--port", "8000"]
