# Fuzz targets of evidence/.
yz_fuzz(fuzz_receipt LINK yz_evidence)
yz_fuzz(fuzz_view LINK yz_evidence)
yz_fuzz(fuzz_evidence_bundle LINK yz_evidence)
