"""The configuration of Apache, ActiveMQ and FTS3, as text."""

from __future__ import annotations

from pathlib import PurePosixPath

from fdr.lake.compose.places import BROKER, FTS_DATABASE, RUCIO, Places, Software
from fdr.lake.rucio_cfg import BrokerAccess

# As in Rucio's own development image: 4 processes of 4 threads, 16 requests at a time.
APACHE = """\
{modules}
ServerName {host}
User {user}
Group {user}
PidFile {own}/httpd.pid
DefaultRuntimeDir {own}
ErrorLog /proc/self/fd/2
LogLevel warn
Listen {port}
SSLSessionCache none
WSGISocketPrefix {own}/wsgi
WSGIRestrictEmbedded On
WSGIDaemonProcess rucio processes=4 threads=4 display-name=rucio-server python-path={packages}{python_home}
# Importing Rucio takes seconds: at the start, not while a client waits.
WSGIImportScript {rucio}/web/rest/main.py process-group=rucio application-group=%{{GLOBAL}}
<VirtualHost *:{port}>
  SSLEngine on
  SSLCertificateFile {certificates}/{host}.pem
  SSLCertificateKeyFile {certificates}/{host}.key
  SSLCACertificatePath {certificates}/ca
  SSLProtocol -all +TLSv1.2 +TLSv1.3
  SSLVerifyClient optional
  SSLVerifyDepth 3
  # The subject of a client's certificate as the grid writes it: /CN=fdr
  SSLOptions +StdEnvVars +LegacyDNStringFormat
  AllowEncodedSlashes On
  WSGIPassAuthorization On
  WSGIScriptAlias / {rucio}/web/rest/main.py process-group=rucio application-group=%{{GLOBAL}}
  <Directory {rucio}/web/rest>
    Require all granted
  </Directory>
</VirtualHost>
"""

ACTIVEMQ = """\
<beans xmlns="http://www.springframework.org/schema/beans"
       xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
       xsi:schemaLocation="http://www.springframework.org/schema/beans
         http://www.springframework.org/schema/beans/spring-beans.xsd
         http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="fdr" persistent="false" useJmx="false"
          schedulerSupport="false">
    <plugins>
      <simpleAuthenticationPlugin anonymousAccessAllowed="false">
        <users><authenticationUser username="{user}" password="{password}" groups="fdr"/></users>
      </simpleAuthenticationPlugin>
    </plugins>
    <transportConnectors>
      <transportConnector name="stomp" uri="stomp://0.0.0.0:{port}"/>
    </transportConnectors>
  </broker>
</beans>
"""

FTS_SERVER = """\
Alias=fdr
SiteName=fdr
AuthorizedVO=*
DbType=mysql
DbUserName=fts
DbPassword={password}
DbConnectString={host}/fts
MinRequiredFreeRAM=16
"""
FTS_SERVER_ROLES = """\
[roles]
Public = all:transfer;all:config;all:datamanagement
"""
FTS_REST = """\
[sqlalchemy]
pool_timeout=10
pool_size=10
[roles]
Public = vo:transfer;all:datamanagement
lcgadmin = all:config
[loggers]
keys = root
[handlers]
keys = log_file
[formatters]
keys = plain
[logger_root]
level = INFO
handlers = log_file
[handler_log_file]
class = logging.FileHandler
args = ('/var/log/fts3rest/fts3rest.log', 'a')
formatter = plain
[formatter_plain]
format = %(asctime)s %(levelname)s [%(module)s] %(message)s
"""


def apache(places: Places, software: Software) -> str:
    """Return the configuration of the Apache that runs the Rucio server."""
    host, port = RUCIO
    home: PurePosixPath | None = software.python_home
    return APACHE.format(
        modules="\n".join(software.apache),
        host=host,
        port=port,
        user=software.web_user,
        own=places.server,
        certificates=places.certificates,
        rucio=software.rucio,
        packages=software.rucio.parent,
        python_home=f" python-home={home}" if home else "",
    )


def activemq(broker: BrokerAccess) -> str:
    """Return the configuration of ActiveMQ: one user, STOMP, nothing on disk."""
    return ACTIVEMQ.format(user=broker.user, password=broker.password, port=BROKER[1])


def fts_server(password: str) -> str:
    """Return the configuration of the FTS server."""
    return FTS_SERVER.format(password=password, host=FTS_DATABASE[0]) + FTS_SERVER_ROLES


def fts_rest(password: str) -> str:
    """Return the configuration of FTS's REST interface."""
    return FTS_SERVER.format(password=password, host=FTS_DATABASE[0]) + FTS_REST
