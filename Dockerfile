# fdr alone, without a lake: Debian's Python and gfal2, the packages of requirements.txt, nobody's root.
#   docker build -t fdr . && docker run --rm fdr --help
FROM docker.io/library/debian:12.12-slim

RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 python3-venv python3-gfal2 \
      gfal2-plugin-file gfal2-plugin-http gfal2-plugin-xrootd \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/log/*

ENV PATH=/opt/fdr/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/fdr

# gfal2's Python module belongs to the system's gfal2; only that one module is let in.
COPY requirements.txt ./
RUN python3 -m venv venv \
 && pip install --quiet --no-cache-dir --no-compile --require-hashes -r requirements.txt \
 && ln -s /usr/lib/python3/dist-packages/gfal2.*.so venv/lib/python3.11/site-packages/

# The scenarios that come with fdr, at the place where a relative path finds them.
COPY pyproject.toml README.md ./
COPY fdr ./fdr
COPY scenarios ./scenarios
RUN pip install --quiet --no-cache-dir --no-deps --no-build-isolation . && rm -rf build fdr fdr.egg-info

# What volumes are mounted on belongs to the user, and so do new volumes.
RUN useradd --uid 1000 --create-home fdr && install -d -o fdr -g fdr /runs /srv/lake
USER 1000:1000
ENV FDR_RUNS=/runs

# A container is well when fdr can load gfal2 with its plugins.
HEALTHCHECK --interval=5m --timeout=30s --start-period=10s \
  CMD ["python3", "-c", "from fdr.storage.gfal_context import load_gfal2; load_gfal2()"]
ENTRYPOINT ["fdr"]
CMD ["--help"]
