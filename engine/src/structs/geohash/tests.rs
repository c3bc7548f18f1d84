use super::*;

fn at(longitude: f64, latitude: f64) -> Point {
    Point {
        longitude,
        latitude,
    }
}

const PALERMO: Point = Point {
    longitude: 13.361_389,
    latitude: 38.115_556,
};
const CATANIA: Point = Point {
    longitude: 15.087_269,
    latitude: 37.502_669,
};

#[test]
fn scores_and_strings_of_redis() {
    for (point, score, hash) in [
        (PALERMO, 3_479_099_956_230_698, b"sqc8b49rny0"),
        (CATANIA, 3_479_447_370_796_909, b"sqdtr74hyu0"),
    ] {
        assert_eq!(point.score(), score);
        let back = Point::of_score(score as f64);
        assert_eq!(&back.geohash(), hash);
        assert!(between(point, back) < 1.0);
        assert_eq!(back.score(), score);
    }
    let (a, b) = (
        Point::of_score(PALERMO.score() as f64),
        Point::of_score(CATANIA.score() as f64),
    );
    assert_eq!(format!("{:.4}", between(a, b)), "166274.1516");
}

#[test]
fn the_edges_of_the_map() {
    assert!(at(180.0, 85.051_128_78).is_valid());
    assert!(!at(180.0, 85.051_128_79).is_valid());
    assert!(!at(-180.000_1, 0.0).is_valid());
    assert!(!at(f64::INFINITY, 0.0).is_valid());
    // One cell beyond the last: its bits do not fit in 52.
    assert_eq!(at(180.0, 0.0).score(), 0b1001 << 50);
    for score in [f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e300, 0.5, -0.0] {
        assert!(Point::of_score(score).is_valid(), "{score}");
    }
}

#[test]
fn doubles_become_integers_as_on_x86() {
    assert_eq!(as_u64(-1.0), u64::MAX);
    assert_eq!(as_u64(1e19), 10_000_000_000_000_000_000);
    assert_eq!(as_u64(1e20), 0);
    assert_eq!(as_u64(f64::NEG_INFINITY), 1 << 63);
    assert_eq!(as_i64(f64::NAN), i64::MIN);
    assert_eq!(as_i64(-1.9), -1);
}

#[test]
fn bits_are_interleaved_and_back() {
    for (even, odd) in [(0, u32::MAX), (1, 2), (0xdead_beef, 0x1234_5678)] {
        assert_eq!(separate(interleave(even, odd)), (even, odd));
    }
    assert_eq!(interleave(0b11, 0b01), 0b0111);
}

#[test]
fn neighbours_wrap_around() {
    let cell = Cell {
        bits: interleave(0, 3),
        step: 2,
    };
    assert_eq!(separate(cell.moved(1, 0).bits), (0, 0));
    assert_eq!(separate(cell.moved(-1, -1).bits), (3, 2));
    assert_eq!(separate(cell.moved(0, 1).bits), (1, 3));
    assert_eq!(cell.moved(1, 1).moved(-1, -1), cell);
}

/// Away from the poles the cells hold every place that is inside.
#[test]
fn nothing_near_is_missed() {
    let mut state = 7u64;
    let mut random = |span: f64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        ((state >> 11) as f64 / (1u64 << 53) as f64 - 0.5) * 2.0 * span
    };
    let mut found = 0;
    for _ in 0..20_000 {
        let centre = at(random(150.0), random(60.0));
        let radius = 10f64.powf(3.0 + random(3.0));
        let circle = Shape::Circle {
            radius,
            metres: 1.0,
        };
        let spread = radius / 60_000.0;
        let point = at(
            centre.longitude + random(spread.min(20.0)),
            centre.latitude + random(spread.min(20.0)),
        );
        let score = point.score();
        let point = Point::of_score(score as f64);
        if circle.distance(centre, point).is_some() {
            found += 1;
            let covered = cover(circle, centre).any(|cell| {
                let (first, end) = cell.scores();
                (first..end).contains(&score)
            });
            assert!(covered, "{centre:?} {radius} {point:?}");
        }
    }
    assert!(found > 2000, "{found}");
}
