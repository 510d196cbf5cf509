//! docs/write-a-kind.md shows files of examples/own-kinds as they are; CI compiles and runs those.

use std::fs;
use std::path::Path;

const FILES: [&str; 7] = [
    "kinds/src/charge.rs",
    "kinds/src/lib.rs",
    "programs/examples/charge_later.rs",
    "programs/src/bin/shop-gateway.rs",
    "programs/src/bin/shop-worker.rs",
    "programs/src/bin/shop.rs",
    "programs/tests/end_to_end.rs",
];

#[test]
fn the_code_in_the_guide_is_the_code_of_the_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let guide = fs::read_to_string(root.join("docs/write-a-kind.md")).expect("the guide");
    for file in FILES {
        let code = fs::read_to_string(root.join("examples/own-kinds").join(file)).expect(file);
        assert!(guide.contains(&format!("```rust\n{code}```\n")), "the guide differs from {file}");
    }
    assert_eq!(guide.matches("```rust\n").count(), FILES.len(), "each code block is a file of the example");
}
