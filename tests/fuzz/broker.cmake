# Fuzz targets of broker/.
if(TARGET yz_broker)
    yz_fuzz(fuzz_replay LINK yz_broker)
endif()
