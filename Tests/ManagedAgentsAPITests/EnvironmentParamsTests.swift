import ManagedAgentsAPI
import PosternJSON
import Testing

@Suite struct EnvironmentParamsTests {
    @Test(arguments: [
        (#"{}"#, "name: Field required"),
        (#"{"name":"e","bogus":1}"#, "bogus: Extra inputs are not permitted"),
        (
            #"{"name":"e","config":{"type":"bogus"}}"#,
            "config: Input tag 'bogus' found using 'type' does not match any of the expected tags: 'cloud', 'self_hosted'"
        ),
        (#"{"name":"e","config":{"type":"self_hosted","networking":{}}}"#, "config.self_hosted.networking: Extra inputs are not permitted"),
        (#"{"name":7}"#, "name: Input should be a valid string"),
    ])
    func refusal(body: String, message: String) throws {
        let json = try JSON(parsing: body)
        #expect(#expect(throws: APIError.self) { try EnvironmentParams.create(json) }?.message == message)
    }

    @Test func cloudIsRefusedWithTheReason() throws {
        let error = #expect(throws: APIError.self) { try EnvironmentParams.create(["name": "e", "config": ["type": "cloud"]]) }
        #expect(error?.status == 400 && error?.message.contains("self_hosted") == true)
        #expect(try EnvironmentParams.create(["name": "e"]).name == "e")
    }

    @Test func pollBounds() throws {
        #expect(try WorkParams.Poll(Query("")).reclaimMilliseconds == 5000)
        let zero = #expect(throws: APIError.self) { try WorkParams.Poll(Query("reclaim_older_than_ms=0")) }
        #expect(zero?.message == "reclaim_older_than_ms: Input should be greater than or equal to 1")
        #expect(throws: APIError.self) { try WorkParams.Poll(Query("block_ms=0")) }
        #expect(throws: APIError.self) { try WorkParams.Poll(Query("block_ms=1000")) }
        #expect(throws: APIError.self) { try WorkParams.Poll(Query("block_ms=soon")) }
        #expect(try WorkParams.Poll(Query("block_ms=999")).blockMilliseconds == 999)
        let missing = #expect(throws: APIError.self) { try WorkParams.metadata([:]) }
        #expect(missing?.message == "metadata: Field required")
    }
}
