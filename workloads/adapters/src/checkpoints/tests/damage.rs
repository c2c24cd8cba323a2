//! Whatever is done to a checkpoint is found before anything is believed.

use kbnt_domain::audit::sha256;
use kbnt_wire::text::hex;

use super::super::manifest::Content;
use super::super::pack::{Builder, Chunks};
use super::*;
use crate::closed_orders::Rows;
use crate::objects::PlaceError;

/// A place with one checkpoint of two packs, which are small, as all before them is forgotten.
async fn one(directory: &Path) -> (Checkpoints, Archive) {
    let (kept, mut archive) = (checkpoints(directory), Archive { first: 65_024, ..Archive::empty() });
    archive.fill(1, 5);
    keep(&kept, 1, &archive).await;
    (kept, archive)
}

/// Makes sure that this is found at `object`, and that the archive has nothing then.
async fn is_found(kept: &Checkpoints, into: &mut Archive, object: &str, what: &str) {
    if is_empty(&into.of) {
        (into.chunks, into.orders) = Default::default();
        into.fill(3, 1);
    }
    let error = fetch(kept, 0, &into.of).await.expect_err(what);
    let text = error.to_string();
    assert!(text.contains(object), "{what}: {text} should name {object}");
    let is_damage =
        matches!(error, CheckpointError::Place(PlaceError::Damaged { .. } | PlaceError::Failed { .. }));
    assert!(is_damage, "{what}: {error:?}");
    // A snapshot or a manifest is refused before anything is done to the archive.
    let is_pack = Path::new(object).extension().is_some_and(|ending| ending == "pack");
    assert_eq!(is_empty(&into.of), is_pack, "{what}");
}

#[tokio::test]
async fn flipped_bits_cut_and_missing_objects_are_found() {
    let (directory, mut into) = (tempfile::tempdir().unwrap(), Archive::empty());
    let (kept, archive) = one(directory.path()).await;
    let objects = files(directory.path());
    assert_eq!(objects.len(), 5, "{objects:?}");
    for object in objects {
        let path = directory.path().join(&object);
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(whole.len() / 16 + 1).chain([whole.len() - 1]) {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x20;
            std::fs::write(&path, flipped).unwrap();
            is_found(&kept, &mut into, &object, &format!("{object}, byte {at}")).await;
        }
        for length in [whole.len() - 1, whole.len() / 2, 0] {
            std::fs::write(&path, &whole[..length]).unwrap();
            is_found(&kept, &mut into, &object, &format!("{object} is cut to {length}")).await;
        }
        std::fs::write(&path, [&whole[..], b" "].concat()).unwrap();
        // White space behind a manifest is nothing.
        if !object.contains("/checkpoints/") {
            is_found(&kept, &mut into, &object, &format!("{object} is longer")).await;
        }
        std::fs::remove_file(&path).unwrap();
        if object.contains("/checkpoints/") {
            assert_eq!(kept.newest(0).await.unwrap(), None);
        } else {
            is_found(&kept, &mut into, &object, &format!("{object} is missing")).await;
        }
        std::fs::write(&path, whole).unwrap();
    }
    assert_eq!(fetch(&kept, 0, &into.of).await.unwrap(), Some(snapshot(1)));
    archive.is_equal(&into.of);
}

#[tokio::test]
async fn what_belongs_elsewhere_is_found() {
    let (directory, mut into) = (tempfile::tempdir().unwrap(), Archive::empty());
    let (kept, mut archive) = one(directory.path()).await;
    archive.fill(1, 1);
    keep(&kept, 2, &archive).await;
    let folder = directory.path().join("inventory-service/checkpoints/000000000");
    let (first, second) = (folder.join("000000000001.json"), folder.join("000000000002.json"));
    let [one, two] = [&first, &second].map(|path| std::fs::read(path).unwrap());
    std::fs::write(&second, &one).unwrap();
    is_found(
        &kept,
        &mut into,
        "000000000002.json is damaged: it says that it is checkpoint 1",
        "another number",
    )
    .await;
    std::fs::write(&second, &two).unwrap();
    // One of the same number, from elsewhere.
    let other = tempfile::tempdir().unwrap();
    let elsewhere = checkpoints(other.path());
    keep(&elsewhere, 9, &Archive::filled(4, 1)).await;
    std::fs::copy(other.path().join("inventory-service/checkpoints/000000000/000000000001.json"), &first)
        .unwrap();
    let error = kept.newest(1).await.unwrap_err().to_string();
    assert!(
        error.ends_with("000000000001.json is damaged: it is not the one after which the next was written")
    );
    std::fs::write(&first, &one).unwrap();
    assert_eq!(kept.newest(1).await.unwrap().unwrap().number(), 1);
    let users = Checkpoints::new(Place::open(directory.path()).unwrap(), Service::User);
    let folder = directory.path().join("user-service/checkpoints/000000000");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("000000000001.json"), &one).unwrap();
    let error = users.newest(0).await.unwrap_err().to_string();
    assert!(error.ends_with("it is a checkpoint of another service"), "{error}");
    // Two packs have changed places.
    let packs = files_in(directory.path(), "closed-orders");
    let [a, b] = [0, 1].map(|n| directory.path().join("inventory-service/closed-orders").join(&packs[n]));
    let bytes = std::fs::read(&b).unwrap();
    std::fs::write(&a, bytes).unwrap();
    is_found(&kept, &mut into, &packs[0], "another pack").await;
}

/// Puts another manifest in the place of the first, as somebody would who can compute hashes.
fn forge(directory: &Path, manifest: &Manifest) {
    let path = directory.join("inventory-service/checkpoints/000000000/000000000001.json");
    std::fs::write(path, manifest.sealed()).unwrap();
}

/// What is said of a manifest, and what was done to it.
type Forgery = (&'static str, fn(&mut Manifest));

#[tokio::test]
async fn a_manifest_that_there_cannot_be_is_refused() {
    let (directory, mut into) = (tempfile::tempdir().unwrap(), Archive::empty());
    let (kept, _) = one(directory.path()).await;
    let sound = kept.newest(0).await.unwrap().unwrap();
    let forgeries: [Forgery; 12] = [
        ("a hash has", |manifest| manifest.snapshot.sha256 = "../../etc".into()),
        ("a hash has", |manifest| manifest.packs[0].sha256 = "/".repeat(64)),
        ("a hash has", |manifest| manifest.packs[0].chunks = Some("0".repeat(65))),
        ("its snapshot is larger", |manifest| manifest.snapshot.bytes = u64::MAX),
        ("more packs than any", |manifest| manifest.packs = vec![manifest.packs[0].clone(); 70_000]),
        ("its packs are none", |manifest| manifest.packs[0].bytes = u64::MAX),
        ("its packs are none", |manifest| manifest.packs[0].orders = 0),
        ("its packs are none", |manifest| manifest.packs[0].orders = u64::MAX),
        ("its packs are none", |manifest| manifest.packs[1].first += 1),
        ("its packs are none", |manifest| manifest.packs.swap(0, 1)),
        ("its packs are none", |manifest| manifest.packs[1].number = 2),
        ("its packs are none", |manifest| manifest.first = u64::MAX),
    ];
    for (says, forgery) in forgeries {
        let mut forged = sound.clone();
        forgery(&mut forged);
        forge(directory.path(), &forged);
        is_found(&kept, &mut into, "000000000001.json is damaged", says).await;
        let error = kept.newest(0).await.unwrap_err().to_string();
        assert!(error.contains(says), "{error} should say {says}");
    }
    let path = directory.path().join("inventory-service/checkpoints/000000000/000000000001.json");
    let text = String::from_utf8(sound.sealed()).unwrap();
    let (_, body) = text.split_once("\"manifest\":").unwrap();
    let sealed = |body: &str| {
        let sum = hex(&sha256(body.as_bytes()));
        format!("{{\"sha256\":\"{sum}\",\"manifest\":{body}}}")
    };
    let body = body.strip_suffix('}').unwrap();
    assert_eq!(sealed(body), text);
    let newer = sealed(&body.replace("\"format\":1", "\"format\":2,\"new\":[]"));
    std::fs::write(&path, newer).unwrap();
    is_found(&kept, &mut into, "format 2 is none that this program reads", "another format").await;
    std::fs::write(&path, sealed(&body.replace("\"packs\":", "\"more\":0,\"packs\":"))).unwrap();
    is_found(&kept, &mut into, "unknown field", "more than there is").await;
    std::fs::File::create(&path).unwrap().set_len(33 << 20).unwrap();
    is_found(&kept, &mut into, "34603008 bytes are more than any has", "a huge manifest").await;
}

#[tokio::test]
async fn orders_that_are_not_those_of_their_chunk_are_refused() {
    let (directory, mut into) = (tempfile::tempdir().unwrap(), Archive::empty());
    let (kept, archive) = one(directory.path()).await;
    let mut forged = kept.newest(0).await.unwrap().unwrap();
    let mut builder = Builder::new();
    for (n, chunk) in archive.chunks.iter().take(2).enumerate() {
        let rows = archive.of.rows(chunk).unwrap().unwrap();
        let checksum = chunk.checksum ^ u32::from(n == 1);
        builder.push(&Chunk { checksum, ..*chunk }, &rows);
    }
    let bytes = builder.bytes();
    Content { bytes: forged.packs[0].bytes, sha256: forged.packs[0].sha256 } = Content::of(&bytes);
    let object = format!("inventory-service/closed-orders/{}.pack", forged.packs[0].name());
    std::fs::write(directory.path().join(&object), bytes).unwrap();
    forge(directory.path(), &forged);
    is_found(&kept, &mut into, &object, "a checksum of a chunk").await;
    let error = fetch(&kept, 0, &into.of).await.unwrap_err().to_string();
    assert!(error.ends_with("the orders of a chunk are not what was archived"), "{error}");
}

#[test]
fn a_pack_that_nobody_wrote_is_refused() {
    let archive = Archive::filled(1, 2);
    let rows = |n: usize| archive.of.rows(&archive.chunks[n]).unwrap().unwrap();
    let pack = |chunks: &[(Chunk, Rows)]| {
        let mut builder = Builder::new();
        for (chunk, rows) in chunks {
            builder.push(chunk, rows);
        }
        builder.bytes()
    };
    let all = |bytes: &[u8], first: u64| {
        let mut chunks = Chunks::of(bytes, first)?;
        while chunks.read()?.is_some() {}
        Ok::<u64, &'static str>(chunks.end())
    };
    let [one, two] = [0, 1].map(|n| (archive.chunks[n], rows(n)));
    let sound = pack(&[one.clone(), two.clone()]);
    assert_eq!(all(&sound, 0), Ok(512));
    for cut in [0, 7, 11, 13, 30, 40, sound.len() - 1] {
        assert_eq!(all(&sound[..cut], 0), Err("it is cut short"), "{cut}");
    }
    let mut other = sound.clone();
    other[8] = 2;
    assert_eq!(all(&other, 0), Err("its format is none that this program reads"));
    let nonsense = Err("its chunks make no sense");
    assert_eq!(all(&sound, 1), nonsense, "it begins elsewhere");
    assert_eq!(all(&pack(&[two, one.clone()]), 256), nonsense, "there is a gap");
    let chunk = archive.chunks[0];
    for orders in [0, 100, 65_537, u32::MAX] {
        assert_eq!(all(&pack(&[(Chunk { orders, ..chunk }, rows(0))]), 0), nonsense, "{orders} places");
    }
    let end = Chunk { first: u64::MAX, ..chunk };
    assert_eq!(all(&pack(&[(end, Vec::new())]), u64::MAX), nonsense, "beyond all numbers");
    let mut twice = rows(0);
    twice[1].0 = twice[0].0;
    assert_eq!(all(&pack(&[(chunk, twice)]), 0), nonsense, "a place twice");
    let mut bad = rows(0);
    bad[9].1.truncate(9);
    assert_eq!(all(&pack(&[(chunk, bad)]), 0), Err("a row of it makes no sense"));
    let mut long = sound;
    long[36..40].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(all(&long, 0), Err("it is cut short"), "a row of 4 GiB");
}
