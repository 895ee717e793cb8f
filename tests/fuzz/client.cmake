# Fuzz targets of client/.
yz_fuzz(fuzz_answer LINK yz_client PkgConfig::JANSSON)
