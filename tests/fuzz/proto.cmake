# Fuzz targets of proto/.
yz_fuzz(fuzz_record LINK yz_test_records)
yz_fuzz(fuzz_armour LINK yz_test_records)
yz_fuzz(fuzz_root_statement LINK yz_test_records)
yz_fuzz(fuzz_member_set LINK yz_test_records)
yz_fuzz(fuzz_manifest LINK yz_test_records)
yz_fuzz(fuzz_offer LINK yz_test_records)
yz_fuzz(fuzz_terms LINK yz_test_records)
yz_fuzz(fuzz_small_records LINK yz_test_records)
