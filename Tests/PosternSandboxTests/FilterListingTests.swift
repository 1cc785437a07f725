import Glibc
import PosternSandbox
import Testing

@Suite struct FilterListingTests {
    /// `jeq`, `jset`, `ret` and so on, by hand.
    private func program(_ instructions: [FilterProgram.Instruction]) -> FilterProgram { FilterProgram(instructions, architecture: 7) }

    @Test func listsWhatIsInstalled() throws {
        let listing = try FilterListing()
        let named = Dictionary(uniqueKeysWithValues: listing.entries.map { ($0.name, $0.lines) })
        #expect(named["ptrace"] == ["EPERM"] && named["io_uring_setup"] == ["ENOSYS"] && named["clone3"] == ["ENOSYS"])
        #expect(named["clone"] == ["EPERM when arg0 & 0x7e020000 != 0", "else allowed"])
        #expect(named["fchmodat2"] == ["EPERM when arg2 & 0xc00 != 0", "else allowed"])
        #expect(named["socket"]?.contains("allowed when arg0 == 16 and arg2 == 0") == true)
        #expect(named["socket"]?.contains("allowed when arg0 == 2 and (arg1 & 15) == 1 and arg2 == 6") == true)
        #expect(named["socket"]?.last == "else EPERM")
        #expect(named["personality"]?.last == "else EPERM" && named["personality"]?.count == 6)
        #expect(named["ioctl"]?.contains("EPERM when arg1 == 0x5412") == true)
        #expect(listing.foreignArchitecture == .kill && listing.unknownFrom == 463)
        #expect(!listing.entries.contains { $0.name.hasPrefix("call ") }, "every call that is listed has a name")
        #expect(listing.entries.count > 80 && listing.text.contains("\nwhat is not listed is allowed"))
    }

    /// The listing says what the program does: for calls and arguments at random, and at the borders, the case that matches has the verdict.
    @Test func agreesWithTheProgram() throws {
        let listing = try FilterListing()
        var random = SystemRandomNumberGenerator()
        let values: [UInt64] = [0, 1, 2, 3, 6, 8, 10, 16, 17, 0o4755, 0o2000, 0x5412, 0x541C, 0x20000, 0x1000_0000, 0xFFFF_FFFF, 0x1_0000_5412, .max]
        for number in UInt32(0)...470 {
            let entry = listing.entries.first { $0.number == number }
            for _ in 0..<60 {
                let arguments = (0..<6).map { _ in
                    Bool.random(using: &random) ? values.randomElement(using: &random) ?? 0 : UInt64.random(in: 0...0xFFFF, using: &random)
                }
                let verdict = try FilterAnalysis.verdict(number, arguments, in: .installed)
                let said = entry.map { entry in
                    entry.cases.first { $0.conditions.allSatisfy { holds($0, arguments) } }?.verdict ?? entry.otherwise
                }
                #expect((said ?? (number < 463 ? .allow : .refuse(errno: 38))) == verdict, "\(number) \(arguments)")
            }
        }
    }

    private func holds(_ condition: FilterAnalysis.Condition, _ arguments: [UInt64]) -> Bool {
        let left = UInt32(truncatingIfNeeded: arguments[condition.argument]) & condition.mask
        let isSo =
            switch condition.relation {
            case .equal: left == condition.value
            case .anyBit: left & condition.value != 0
            case .greater: left > condition.value
            case .atLeast: left >= condition.value
            }
        return isSo == condition.holds
    }

    @Test func refusesToGuess() throws {
        let allow = FilterProgram.Instruction(0x06, 0x7FFF_0000)
        #expect(throws: FilterProgram.Malformed.self) { try FilterListing(program([])) }
        // Beyond the end, an unknown operation, another word than number, architecture and arguments, a high half.
        for bad in [FilterProgram.Instruction(0x05, 9), .init(0x16, 0), .init(0x20, 8), .init(0x20, 20)] {
            #expect(throws: FilterProgram.Malformed.self) { try FilterAnalysis.paths(of: 0, in: program([bad, allow])) }
        }
        let one = program([.init(0x20, 0), .init(0x15, 5, ifFalse: 1), .init(0x06, 0x0005_0001), allow])
        #expect(try FilterAnalysis.verdict(5, in: one) == .refuse(errno: 1))
        #expect(try FilterAnalysis.verdict(6, in: one) == .allow)
        let entries = try FilterListing(one).entries
        #expect(entries.map(\.name) == ["call 5"] && entries.map(\.lines) == [["EPERM"]])
    }
}
