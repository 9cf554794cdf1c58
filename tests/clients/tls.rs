//! The tools over TLS against a real mosquitto, with certificates and keys as the openssl command makes them: what
//! rustls takes, what only OpenSSL takes (feature `openssl`), and what the errors say of the rest.

use std::path::Path;
use std::process::Command;

use crate::support::mosquitto::Mosquitto;
use crate::support::tool::{Ended, command, run};

const MQPUB: &str = env!("CARGO_BIN_EXE_mqpub");
// As root, mosquitto gives up its rights before it reads the key.
const SERVER: &str = "user root\nallow_anonymous true\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\n";

/// Runs openssl in a folder.
fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A CA in `ca.pem` with a key of this kind.
fn authority(folder: &Path, key: &str) {
    openssl(folder, &format!("req -x509 -newkey {key} -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=the-CA"));
}

/// A server's certificate in `server.pem`, issued by the CA with these extensions; without any it is one of version 1.
fn server(folder: &Path, key: &str, name: &str, extensions: &str, more: &str) {
    openssl(folder, &format!("req -newkey {key} -nodes -keyout server.key -out server.csr -subj /CN={name}"));
    let mut sign =
        format!("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out server.pem{more}");
    if !extensions.is_empty() {
        std::fs::write(folder.join("extensions"), extensions).unwrap();
        sign += " -extfile extensions";
    }
    openssl(folder, &sign);
}

const EC: &str = "ec -pkeyopt ec_paramgen_curve:P-256";
const P521: &str = "ec -pkeyopt ec_paramgen_curve:P-521";
const SAN: &str = "subjectAltName=DNS:localhost,IP:127.0.0.1\n";

/// A mosquitto with what `prepare` makes.
fn broker(prepare: impl FnOnce(&Path)) -> Option<Mosquitto> {
    Mosquitto::start_with(SERVER, prepare)
}

/// Publishes once over TLS; `{folder}` in the arguments is the broker's folder.
fn publish(broker: &Mosquitto, host: &str, more: &str) -> Ended {
    let more = more.replace("{folder}", &broker.folder.path().display().to_string());
    let port = broker.port();
    let mut arguments = vec!["-h", host, "-p", &port, "-t", "a", "-m", "b", "-q", "1"];
    arguments.extend(more.split_whitespace());
    run(MQPUB, &arguments, b"")
}

fn assert_published(broker: &Mosquitto, host: &str, more: &str) -> String {
    let ended = publish(broker, host, more);
    assert_eq!(ended.code, Some(0), "{more}: {}", ended.stderr);
    ended.stderr
}

fn assert_fails(broker: &Mosquitto, more: &str, texts: &[&str]) {
    let ended = publish(broker, "127.0.0.1", more);
    assert_eq!(ended.code, Some(1), "{more}: {}", ended.stderr);
    for text in texts {
        assert!(ended.stderr.contains(text), "{more}: {}", ended.stderr);
    }
    // The look of a library's Debug output.
    assert!(!ended.stderr.contains(['{', '}']) && !ended.stderr.contains("Error("), "{}", ended.stderr);
}

const TRUSTING: &str = "--cafile {folder}/ca.pem";

#[test]
fn a_common_name_and_an_address_among_the_names_are_enough_for_a_named_authority() {
    let Some(broker) = broker(|folder| {
        authority(folder, EC);
        server(folder, EC, "localhost", "basicConstraints=CA:FALSE\n", "");
    }) else {
        return;
    };
    let said = assert_published(&broker, "localhost", TRUSTING);
    assert!(said.starts_with("Warning: the broker's certificate has no subjectAltName"), "{said}");
    assert_fails(&broker, TRUSTING, &["only the common name localhost", "subjectAltName=IP:127.0.0.1"]);
    let Some(broker) = self::broker(|folder| {
        authority(folder, EC);
        server(folder, EC, "x", "subjectAltName=DNS:127.0.0.1\n", "");
    }) else {
        return;
    };
    assert_eq!(assert_published(&broker, "127.0.0.1", TRUSTING), "");
}

#[test]
fn files_as_other_programs_write_them_are_read() {
    let Some(broker) = broker(|folder| {
        authority(folder, EC);
        server(folder, EC, "x", SAN, "");
        openssl(folder, "x509 -in ca.pem -trustout -addtrust serverAuth -out trusted.pem");
        let plain = std::fs::read(folder.join("ca.pem")).unwrap();
        std::fs::write(folder.join("mark.pem"), [b"\xEF\xBB\xBF", plain.as_slice()].concat()).unwrap();
    }) else {
        return;
    };
    for file in ["ca", "trusted", "mark"] {
        assert_published(&broker, "127.0.0.1", &format!("--cafile {{folder}}/{file}.pem"));
    }
}

#[test]
fn a_system_without_certificates_gets_a_hint_what_to_install() {
    let arguments = ["-h", "127.0.0.1", "-p", "1", "--tls", "-t", "a", "-n"];
    let output =
        command(MQPUB, &arguments).env("SSL_CERT_FILE", "/dev/null").env_remove("SSL_CERT_DIR").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("this system has no CA certificates"), "{said}");
    assert!(said.contains("install the package ca-certificates"), "{said}");
}

/// What rustls does not take: the preparation, and what its error says.
type Form = (&'static str, fn(&Path), &'static str);

const ONLY_OPENSSL: [Form; 5] = [
    (
        "version 1",
        |folder| {
            authority(folder, EC);
            server(folder, EC, "127.0.0.1", "", "");
        },
        "X.509 version 1",
    ),
    (
        "a CA's certificate as the server's",
        |folder| {
            authority(folder, EC);
            server(folder, EC, "x", &format!("basicConstraints=CA:TRUE\n{SAN}"), "");
        },
        "CA certificate",
    ),
    (
        "a CA with a P-521 key",
        |folder| {
            authority(folder, P521);
            server(folder, EC, "x", SAN, " -sha512");
        },
        "P-521",
    ),
    (
        "a P-521 key",
        |folder| {
            authority(folder, EC);
            server(folder, P521, "x", SAN, "");
        },
        "P-521",
    ),
    (
        "RSA-PSS with the longest salt",
        |folder| {
            authority(folder, "rsa:2048");
            server(folder, EC, "x", SAN, " -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-2");
        },
        "RSA-PSS",
    ),
];

#[test]
fn what_rustls_refuses_names_the_cause_and_the_way_out() {
    for (form, prepare, cause) in ONLY_OPENSSL {
        eprintln!("{form}");
        let Some(broker) = broker(prepare) else { return };
        assert_fails(&broker, TRUSTING, &[cause, "--tls-backend openssl"]);
    }
}

#[cfg(not(feature = "openssl"))]
#[test]
fn a_build_without_openssl_names_the_feature() {
    for (more, option) in [
        (&["--psk", "ab", "--psk-identity", "me"][..], "--psk"),
        (&["--tls", "--ciphers", "ALL"], "--ciphers"),
        (&["--tls", "--tls-backend", "openssl"], "--tls-backend openssl"),
    ] {
        let ended = run(MQPUB, &[&["-t", "a", "-n", "-h", "127.0.0.1", "-p", "1"], more].concat(), b"");
        let expected = format!("{option} needs OpenSSL, which this build does not have: build with --features openssl");
        assert!(ended.code == Some(2) && ended.stderr.contains(&expected), "{}", ended.stderr);
    }
}

#[cfg(feature = "openssl")]
mod with_openssl {
    use super::*;

    const OPENSSL: &str = "--tls-backend openssl --cafile {folder}/ca.pem";

    #[test]
    fn openssl_takes_what_rustls_refuses() {
        for (form, prepare, _) in ONLY_OPENSSL {
            eprintln!("{form}");
            let Some(broker) = broker(prepare) else { return };
            assert_published(&broker, "127.0.0.1", OPENSSL);
        }
    }

    #[test]
    fn names_and_trust_are_checked_as_with_rustls() {
        let Some(broker) = broker(|folder| {
            authority(folder, EC);
            server(folder, EC, "localhost", "basicConstraints=CA:FALSE\n", "");
            openssl(folder, &format!("req -x509 -newkey {EC} -nodes -keyout b.key -out other.pem -subj /CN=other"));
        }) else {
            return;
        };
        let said = assert_published(&broker, "localhost", OPENSSL);
        assert!(said.starts_with("Warning: the broker's certificate has no subjectAltName"), "{said}");
        assert_fails(&broker, OPENSSL, &["is not for 127.0.0.1", "only the common name localhost"]);
        let other = "--tls-backend openssl --cafile {folder}/other.pem";
        assert_fails(&broker, other, &["issued by an unknown CA: CN=the-CA is not in"]);
        assert_published(&broker, "127.0.0.1", &format!("{other} --insecure"));
        // The server's own certificate, named.
        assert_published(&broker, "localhost", "--tls-backend openssl --cafile {folder}/server.pem");
    }

    #[test]
    fn options_of_tls_hold_with_openssl_too() {
        let Some(broker) = broker(|folder| {
            authority(folder, EC);
            server(folder, EC, "x", SAN, "");
        }) else {
            return;
        };
        let keylog = format!("{OPENSSL} --tls-keylog {{folder}}/keys --tls-version tlsv1.3 --tls-alpn mqtt");
        assert_published(&broker, "127.0.0.1", &keylog);
        let keys = std::fs::read_to_string(broker.folder.path().join("keys")).unwrap();
        assert!(keys.contains("CLIENT_TRAFFIC_SECRET_0 "), "{keys}");
        for list in ["ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"] {
            assert_published(&broker, "127.0.0.1", &format!("{TRUSTING} --ciphers {list}"));
        }
        assert_published(&broker, "127.0.0.1", &format!("{OPENSSL} --tls-version tlsv1.2"));
        assert_fails(&broker, &format!("{TRUSTING} --ciphers NONSENSE"), &["OpenSSL supports no cipher of"]);
    }

    #[test]
    fn client_certificates_and_old_keys() {
        let configuration = format!("{SERVER}cafile {{folder}}/ca.pem\nrequire_certificate true\n");
        let Some(broker) = Mosquitto::start_with(&configuration, |folder| {
            authority(folder, EC);
            server(folder, EC, "x", SAN, "");
            openssl(folder, "req -newkey rsa:2048 -nodes -keyout own.key -out own.csr -subj /CN=device");
            openssl(folder, "x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out own.pem -days 30");
            openssl(folder, "rsa -in own.key -traditional -des3 -passout pass:secret -out old.key");
            openssl(folder, "pkcs8 -topk8 -in own.key -v1 PBE-SHA1-3DES -passout pass:secret -out pbe.key");
            std::fs::write(folder.join("word"), "secret\n").unwrap();
            std::fs::write(folder.join("wrong"), "wrong\n").unwrap();
        }) else {
            return;
        };
        let own = |key: &str| format!("{OPENSSL} --cert {{folder}}/own.pem --key {{folder}}/{key}.key");
        assert_published(&broker, "127.0.0.1", &own("own"));
        for key in ["old", "pbe"] {
            assert_published(&broker, "127.0.0.1", &format!("{} --key-pw-file {{folder}}/word", own(key)));
            assert_fails(&broker, &own(key), &["the key is encrypted and no password was given"]);
            let wrong = format!("{} --key-pw-file {{folder}}/wrong", own(key));
            assert_fails(&broker, &wrong, &["the key cannot be decrypted"]);
        }
        assert_fails(&broker, &own("server"), &["the key does not match the certificate"]);
        assert_fails(&broker, OPENSSL, &["the server requires a client certificate", "--cert"]);
    }

    #[test]
    fn a_pre_shared_key_is_enough() {
        let configuration =
            "allow_anonymous true\npsk_file {folder}/keys\npsk_hint hint\nuse_identity_as_username true\n";
        let Some(broker) = Mosquitto::start_with(configuration, |folder| {
            std::fs::write(folder.join("keys"), "device:00ffAB12\n").unwrap();
        }) else {
            return;
        };
        for version in ["", " --tls-version tlsv1.2", " --tls-version tlsv1.3"] {
            assert_published(&broker, "127.0.0.1", &format!("--psk 00ffab12 --psk-identity device{version}"));
        }
        assert_fails(&broker, "--psk 00ffab13 --psk-identity device", &["--psk-identity, --psk"]);
        assert_fails(&broker, "--psk 00ffab12 --psk-identity nobody", &["--psk-identity, --psk"]);
        // A server that shows a certificate instead is not believed.
        let Some(other) = self::broker(|folder| {
            authority(folder, EC);
            server(folder, EC, "x", SAN, "");
        }) else {
            return;
        };
        assert_fails(&other, "--psk 00ffab12 --psk-identity device", &["Error: cannot connect"]);
    }
}
