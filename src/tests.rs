#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    #[pg_test]
    fn the_extension_is_installed_in_its_schema() {
        let schema = Spi::get_one::<String>(
            "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'sheet_sync'",
        );
        assert_eq!(schema, Ok(Some("sheet_sync".to_owned())));
    }
}
