# What the shell of devenv exports. These have a default:
export CONF_DIR="${CONF_DIR:-conf}" CONF_TEMPLATE_DIR="${CONF_TEMPLATE_DIR:-conf_template}" DATA_DIR="${DATA_DIR:-data}"
export DJANGO_HOST="${DJANGO_HOST:-localhost}" DJANGO_PORT="${DJANGO_PORT:-8118}"
# These are set over what the unit says:
export DB_CONFIG_FILE="$CONF_DIR/db.yaml" DB_PWD_FILE="$CONF_DIR/db_pwd"
export LX_MAINTENANCE_PASSWORD_FILE="$HOME/secrets/vault/SCRT_local_password_maintenance_password"
export DJANGO_SETTINGS_MODULE_PRODUCTION="${DJANGO_MODULE:-endo_api}.settings_prod"
export DJANGO_SETTINGS_MODULE_DEVELOPMENT="${DJANGO_MODULE:-endo_api}.settings_dev"
